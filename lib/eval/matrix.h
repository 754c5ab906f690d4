/* Two products of f32 matrices, row-major, for blocks that fit the caches. The order of every sum is fixed by D (or n)
 * alone: results are the same bits on every processor and for every way of cutting the rows into blocks. */
#ifndef TW_EVAL_MATRIX_H
#define TW_EVAL_MATRIX_H

#include <stddef.h>

/* out[i*stride + j] = <a[i], b[j]>; a: [na,D], b: [nb,D], contiguous. */
void tw_dot_rows(float *out, size_t stride, const float *a, int na, const float *b, int nb, int D);

/* out[i,:] += sum over r of w[r*stride + i] * x[r,:]; out: [m,D], x: [n,D], w: n rows of at least m. */
void tw_add_outer(float *out, int m, const float *w, size_t stride, const float *x, int n, int D);

/* Sum of squares of x[D], in double. */
double tw_sum_squares(const float *x, int D);

/* Scales each of n rows of x [n,D] to length 1; rows of zeros stay. */
void tw_unit_rows(float *x, size_t n, int D);

#endif
