/* Inside lib/cpu: the matrix product of a linear layer in tiles of fixed size, each computed by a single thread, so that the bits depend neither on
 * the number of threads nor on that of rows. oneDNN divides a whole product by both, even along the inner dimension. */
#ifndef TW_CPU_TILES_H
#define TW_CPU_TILES_H

#include "cpu/prim.h"

typedef struct tw_tiles tw_tiles;

/* y [rows,K] = x [rows,C] w^T + b, row-major in the device's precision, w [K,C] and b [K] f32. NULL and tw_error(). */
tw_tiles *tw_tiles_new(tw_dev *d, int rows, int C, int K);
void tw_tiles_free(tw_tiles *t); /* NULL is allowed */
size_t tw_tiles_bytes(const tw_tiles *t);

/* Packs the present values of w [K,C], f32. 0, or -1 and tw_error(). */
int tw_tiles_weights(tw_tiles *t, const float *w);

int tw_tiles_run(tw_tiles *t, void *y, const void *x, const float *b); /* 0, or -1 and tw_error() */

#endif
