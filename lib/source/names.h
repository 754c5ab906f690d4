/* Names of pictures, read from a file, with or without labels. */
#ifndef TW_SOURCE_NAMES_H
#define TW_SOURCE_NAMES_H

#include "source/entries.h"

typedef struct {
    char *name;
    int32_t label; /* number of a class; -1: none */
} tw_row;

typedef struct {
    tw_row *row; /* sorted by name */
    size_t n, cap;
} tw_names;

/* Reads a file of names (classes NULL), or of names and labels, whose class names are added to `classes`; format by tw_rows_format_of. 0, or -1 and
 * tw_error(), also for a name without a label or with two different ones. Call tw_names_fini in any case.
 *
 * A first row of columns whose words rows.h does not know is still taken for a heading, with a warning, if: its name has no picture's ending and
 * matches no entry of `classes`; its label is no number and occurs in no other row; and all other names have a picture's ending, or all other labels
 * are numbers (and there are other rows). */
int tw_names_read(tw_names *t, const char *file, tw_entries *classes);
void tw_names_fini(tw_names *t);

/* The row that names this picture: by its path or the part after one of its slashes, the longest first; else the same without the
 * ending (".jpg"). Borrowed; NULL: none. */
const tw_row *tw_names_find(const tw_names *t, const char *path);
/* Whether a row names this picture. there [t->n]: set for all rows that do, in any of these forms (of equal rows, for one). */
bool tw_names_mark(const tw_names *t, const char *path, bool *there);

#endif
