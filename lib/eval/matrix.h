/* f32 matrix products for the evaluation programs, which link no BLAS. Every element is one chain of fused multiply-adds in the order of the inner
 * dimension, so the bits are the same on every processor, for every kernel below and however the rows are divided into blocks. */
#ifndef TW_EVAL_MATRIX_H
#define TW_EVAL_MATRIX_H

#include "eval/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TW_MATRIX_ROWS = 96,     /* rows of the left operand per block: jobs should have a multiple of it */
    TW_MATRIX_COLUMNS = 1024 /* columns per block if only the largest score of a row is wanted */
};

enum { TW_MATRIX_MOST_LANES = 16 };

/* Running maxima, [rows,lanes]: of each row the largest score, and its column, among the columns of each lane (column modulo lanes). */
typedef struct {
    float *score;
    int32_t *column;
} tw_largest;

/* The kernel for an instruction set, which computes tiles of mr x nr sums. */
typedef struct {
    const char *name;
    int mr, nr, lanes;
    /* c[i*stride + j] = (zero ? 0 : itself) + sum over d < k of a[d*mr + i] * b[d*nr + j], in order, by fused multiply-adds. */
    void (*tile)(float *c, size_t stride, const float *a, const float *b, int k, bool zero);
    /* The same sums, not stored: sum - less[j] is the score of column first + j in row i, which updates `largest` (from the tile's first row on). */
    void (*largest)(tw_largest largest, const float *less, int first, const float *c, size_t stride, const float *a, const float *b, int k,
                    bool zero);
} tw_matrix_kernel;

/* Kernel i of those that this processor can run, the fastest first, the portable one last; NULL: there are no more. */
const tw_matrix_kernel *tw_matrix_kernel_at(int i);

/* A packed right operand b: n rows of k elements, in the layout of a kernel. */
typedef struct {
    const tw_matrix_kernel *kernel;
    float *data;
    int n, k;
} tw_panels;

/* Room for an operand of up to n x k. kernel NULL: the fastest. 0, or -1 and tw_error(). */
int tw_panels_init(tw_panels *p, int n, int k, const tw_matrix_kernel *kernel);
void tw_panels_fini(tw_panels *p);

/* Packs b, element d of row j being b[j*row + d*col]; n and k must be within the room. threads NULL: in the calling thread. */
void tw_panels_set(tw_panels *p, const float *b, size_t row, size_t col, int n, int k, tw_blocks *threads);

/* Rows first .. first+n-1 of p as an operand that borrows p's memory; first: a multiple of 32. */
tw_panels tw_panels_part(const tw_panels *p, int first, int n);

/* c[i*stride + j] = (add ? itself : 0) + sum over d of a[i,d] * b[j,d] for i < m, j < b->n; a[i,d] at a[i*row + d*col].
 * May be called by several threads at once for different rows of c. */
void tw_product(float *c, size_t stride, const float *a, size_t row, size_t col, int m, const tw_panels *b, bool add);

/* column[i]: the row j of b with the largest score a[i] b[j] - less[j], the lowest of equal ones; score[i]: that score. 0 and -infinity if all are
 * NaN or -infinity. a [m,k], m <= TW_MATRIX_ROWS. scratch: TW_MATRIX_ROWS * TW_MATRIX_COLUMNS floats. */
void tw_product_largest(int32_t *column, float *score, float *scratch, const float *a, int m, const tw_panels *b, const float *less);

/* Sum of squares of x[D], in double and in a fixed order. */
double tw_sum_squares(const float *x, int D);

/* Scales each row of x [n,D] to unit length; rows of zeros are left as they are. */
void tw_unit_rows(float *x, size_t n, int D);

#endif
