/* Bad pictures: their count, its limit (--max-errors) and the file that lists them (--rejects). */
#ifndef TW_SOURCE_REJECTS_H
#define TW_SOURCE_REJECTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    int64_t count;
    int64_t most;    /* limit of count; -1: none */
    double percent;  /* limit of count in percent of all samples; -1: none */
    FILE *file;      /* NULL: none */
    const char *path;
} tw_rejects;

/* most: "N", "R%" or NULL (any number). 0, or -1 and tw_error(). */
int tw_rejects_init(tw_rejects *r, const char *most);
/* Opens the file path (NULL: none; borrowed). goes_on: appends to it, after removing an incomplete last line; else overwrites it. 0, or -1 and
 * tw_error(). */
int tw_rejects_open(tw_rejects *r, const char *path, bool goes_on);

/* Writes the path for a one-line message: newlines as \n, other bytes unchanged, cut after TW_REJECT_PATH bytes. twist-feed work recognises a
 * picture in its command's messages by this form. */
enum { TW_REJECT_PATH = 1024 };
void tw_rejects_spell(char text[2 * TW_REJECT_PATH + 1], const char *path, size_t size);

/* Counts a bad picture and appends the line "PATH<TAB>CAUSE" (path escaped as in core/tsv.h) to the file, unbuffered. all: samples of the
 * whole run, -1 if not known yet. 0, or -1 and tw_error(): limit exceeded, or the file cannot be written. */
int tw_rejects_add(tw_rejects *r, const char *path, size_t size, const char *cause, int64_t all);

/* Closes the file and checks the limits. all: samples of the whole run, needed for the limit in percent. 0, or -1 and tw_error(). */
int tw_rejects_close(tw_rejects *r, int64_t all);

#endif
