/* A file of names, or of names with labels, to look pictures up in. */
#ifndef TW_SOURCE_TABLE_H
#define TW_SOURCE_TABLE_H

#include "source/entries.h"

typedef struct {
    char *name;
    int32_t label; /* number of a class, -1 */
} tw_row;

typedef struct {
    tw_row *row; /* sorted by name */
    size_t n, cap;
} tw_table;

/* Reads a file of names (classes NULL), or of names and labels, whose classes are added to `classes`; its format by its ending. 0, or
 * -1 and tw_error(): also for a name without a label, or with two different ones. In columns without known names the first row is a heading too,
 * which is said, if its name ends in no picture's ending and names none of the pictures that `classes` has (none where it has none), its label is no
 * number and that of no other row, and all other names end as those of pictures do, or all other labels are numbers. */
int tw_table_read(tw_table *t, const char *file, tw_entries *classes);
void tw_table_fini(tw_table *t);

/* The row that names this picture: by its path or what follows one of its slashes, the longest such name, or else the same without the
 * ending (".jpg"). NULL: none. */
const tw_row *tw_table_find(const tw_table *t, const char *path);
/* Whether a row names this picture; sets there [n] for all that do, in whatever spelling; of equal rows for one. */
bool tw_table_mark(const tw_table *t, const char *path, bool *there);

#endif
