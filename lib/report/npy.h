/* NumPy .npy files written row by row; the header, with the number of rows, is written at the end. */
#ifndef TW_REPORT_NPY_H
#define TW_REPORT_NPY_H

#include "core/tensor.h"

#include <stdbool.h>

typedef struct tw_npy tw_npy;

/* Creates the file, which appears under its name when complete; it must be seekable (no pipe). type: element type of the array if no row is added.
 * NULL and tw_error(). */
tw_npy *tw_npy_create(const char *path, tw_dtype type);

/* Appends a row: the tensor part[0] (rank 0: a number), or, if stacked, n tensors of the same shape along a new first axis. All rows must have the
 * type (u8, i64, f16 or f32) and shape of the first. 0, or -1 and tw_error(). */
int tw_npy_row(tw_npy *f, const tw_tensor *part, int n, bool stacked);

/* Appends a row of NaN; before the first row, of the shape that it will have. 0, or -1 and tw_error(), also for integer types. */
int tw_npy_missing(tw_npy *f);

/* Writes the header, closes the file. Frees f in any case. 0, or -1 and tw_error(). */
int tw_npy_finish(tw_npy *f);
void tw_npy_abandon(tw_npy *f);

#endif
