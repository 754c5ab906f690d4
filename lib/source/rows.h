/* Text files that name pictures, one a row, some with labels. */
#ifndef TW_SOURCE_ROWS_H
#define TW_SOURCE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    TW_ROWS_LINES, /* name[TAB label] */
    TW_ROWS_NULS,  /* names ended by NUL bytes, as find -print0 writes them */
    TW_ROWS_TSV,   /* columns between TABs, written as core/tsv.h has it */
    TW_ROWS_CSV,   /* columns between commas, quoted as RFC 4180 has it */
    TW_ROWS_JSONL, /* an object a line */
} tw_rows_format;

typedef struct {
    FILE *f;
    const char *file;
    tw_rows_format format;
    char *line, *more; /* the row; a further line of it */
    size_t cap, more_cap;
    int64_t number;    /* of the row read last, from 1 */
    int name, label;   /* columns */
    char *text[2];     /* name and label of an object; owned */
} tw_rows;

/* By the file's ending: .csv, .tsv, .jsonl, else lines. */
tw_rows_format tw_rows_format_of(const char *file);

/* file: "-" is standard input. 0, or -1 and tw_error(). */
int tw_rows_open(tw_rows *r, const char *file, tw_rows_format format);

/* The next row that is not empty; both strings are borrowed until the next call, label NULL where there is none, as in an empty column. A CR before a
 * line's end is dropped, as is a byte order mark (EF BB BF) before the first line, but not where NUL bytes end the names. Of columns the first two
 * count, unless the first row names them: a name is under name, file, file_name, filename, path, image, key or id, a label under label, class,
 * category, target or cls, of several under the one that is first here; objects have the same keys. 1; 0 at the end; -1 and tw_error() (an
 * error of the device, a NUL byte in a line, an empty name or label, no object). */
int tw_rows_next(tw_rows *r, const char **name, const char **label);
void tw_rows_close(tw_rows *r);

#endif
