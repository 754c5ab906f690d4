/* Fields of samples as NumPy arrays, one file per field, one row per sample. */
#ifndef TW_REPORT_COLUMNS_H
#define TW_REPORT_COLUMNS_H

#include "stream/record.h"

typedef struct tw_columns tw_columns;

/* The fields that can be written; a missing label is -1. */
#define TW_COLUMNS "index, epoch, pos, label, image, views, features, logits, probs"
/* Whether the text is FIELD=FILE with one of these fields. */
bool tw_is_column(const char *text);

/* Creates the file of each of the n texts FIELD=FILE, borrowed until finish or abandon. NULL and tw_error(). */
tw_columns *tw_columns_create(const char *const *text, int n);

/* Appends the sample's row to every file. 0, or -1 and tw_error() naming the file and the sample. */
int tw_columns_add(tw_columns *c, const tw_sample *s);

/* Appends a row for a missing sample: NaN in features, logits and probs, -1 in integer fields. 0, or -1 and tw_error(), also for the fields
 * image and views. */
int tw_columns_missing(tw_columns *c);

/* Completes the files. Frees c in any case. 0, or -1 and tw_error(): files not completed are then removed. */
int tw_columns_finish(tw_columns *c);
void tw_columns_abandon(tw_columns *c); /* NULL is allowed */

#endif
