/* Fields of samples written as NumPy arrays, one file a field. */
#ifndef TW_REPORT_COLUMNS_H
#define TW_REPORT_COLUMNS_H

#include "stream/record.h"

typedef struct tw_columns tw_columns;

/* The fields that can be written (label -1: none). */
#define TW_COLUMNS "index, epoch, pos, label, image, views, features, logits, probs"
/* Whether the text is FIELD=FILE with one of them. */
bool tw_is_column(const char *text);

/* Creates the file of each of the n texts, which must live until the end. NULL and tw_error(). */
tw_columns *tw_columns_create(const char *const *text, int n);

/* Appends the sample's row to every file. 0, or -1 and tw_error() naming the file and the sample. */
int tw_columns_add(tw_columns *c, const tw_sample *s);

/* Appends a row for a sample that there is not: NaN in features, logits and probs, -1 in numbers. 0, or -1 and tw_error(): before the
 * first sample whose shape would tell the row's, or for pictures. */
int tw_columns_missing(tw_columns *c);

/* Completes the files and frees c. 0, or -1 and tw_error(): the files not completed are removed. */
int tw_columns_finish(tw_columns *c);
void tw_columns_abandon(tw_columns *c); /* NULL is allowed */

#endif
