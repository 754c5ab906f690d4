/* NumPy's .npy files, one row at a time: the number of rows is written into the header at the end. */
#ifndef TW_REPORT_NPY_H
#define TW_REPORT_NPY_H

#include "core/tensor.h"

#include <stdbool.h>

typedef struct tw_npy tw_npy;

/* The file appears under its name when it is complete. It must be one that can be sought in: no pipe. type: as long as there are no rows.
 * NULL and tw_error(). */
tw_npy *tw_npy_create(const char *path, tw_dtype type);

/* Appends a row: the tensor part[0] (rank 0: a number), or n tensors of one shape stacked. The first row settles type and
 * shape of all: u8, i64, f16 or f32. 0, or -1 and tw_error(). */
int tw_npy_row(tw_npy *f, const tw_tensor *part, int n, bool stacked);

/* Appends a row of NaN; before the first row, of the shape that it will have. 0, or -1 and tw_error(): rows of whole numbers. */
int tw_npy_missing(tw_npy *f);

/* Writes the header, closes and frees. Without a row: an empty f32 array. 0, or -1 and tw_error(). */
int tw_npy_finish(tw_npy *f);
void tw_npy_abandon(tw_npy *f);

#endif
