/* Bad pictures: how many there have been, how many there may be, and the file that names them. */
#ifndef TW_SOURCE_REJECTS_H
#define TW_SOURCE_REJECTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    int64_t count;
    int64_t most;    /* -1: any number */
    double percent;  /* of all samples, -1: any */
    FILE *file;      /* NULL: none */
    const char *path;
} tw_rejects;

/* most: "N", "R%" or NULL (any number). 0, or -1 and tw_error(). */
int tw_rejects_init(tw_rejects *r, const char *most);
/* path: a file, made anew unless goes_on (then what is in it stays, but for a last line that was cut), or NULL. 0, or -1 and tw_error(). */
int tw_rejects_open(tw_rejects *r, const char *path, bool goes_on);

/* The path in a message of one line: a newline in it as \n, all else as it is; cut after TW_REJECT_PATH bytes. twist-feed work knows a picture
 * by it. */
enum { TW_REJECT_PATH = 1024 };
void tw_rejects_spell(char text[2 * TW_REJECT_PATH + 1], const char *path, size_t size);

/* One more: its line "PATH<TAB>CAUSE" (the path as core/tsv.h writes it) goes to the file at once. all: samples of the
 * whole run, -1 where that is not known yet. 0, or -1 and tw_error(): too many, or the file cannot be written. */
int tw_rejects_add(tw_rejects *r, const char *path, size_t size, const char *cause, int64_t all);

/* At the end, with the samples there were: checks a limit in percent that could not be checked before, closes. 0, or -1 and tw_error(). */
int tw_rejects_close(tw_rejects *r, int64_t all);

#endif
