/* Text files of `name[TAB label]` lines. */
#ifndef TW_SOURCE_LINES_H
#define TW_SOURCE_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *f;
    const char *file;
    char *line;
    size_t cap;
    int64_t number; /* of the line read last, from 1 */
} tw_lines;

/* file: "-" is standard input. 0, or -1 and tw_error(). */
int tw_lines_open(tw_lines *l, const char *file);
/* The next line that is not empty; both strings are borrowed until the next call, label NULL where there is no TAB. CR before
 * the line's end is dropped. 1; 0 at the end; -1 and tw_error() (an error of the device, a NUL byte). */
int tw_lines_next(tw_lines *l, char **name, char **label);
void tw_lines_close(tw_lines *l);

#endif
