/* Products of f32 matrices for the evaluation programs, which link no BLAS. Every element is one chain of fused multiply-adds
 * in the order of the inner dimension, so results are the same bits on every processor, for every kernel below and for
 * every way of cutting the rows into blocks. */
#ifndef TW_EVAL_MATRIX_H
#define TW_EVAL_MATRIX_H

#include "eval/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TW_MATRIX_ROWS = 96,     /* rows of the left operand that are worked on at a time: a good multiple for a job */
    TW_MATRIX_COLUMNS = 1024 /* columns whose sums are kept at a time where only the largest is wanted */
};

enum { TW_MATRIX_MOST_LANES = 16 };

/* The largest scores of some rows so far, a lane for the columns whose numbers are equal modulo `lanes`: [rows,lanes]. */
typedef struct {
    float *score;
    int32_t *column;
} tw_largest;

/* How one processor does it: a tile of mr x nr sums. */
typedef struct {
    const char *name;
    int mr, nr, lanes;
    /* c[i*stride + j] = (zero ? 0 : itself) + sum over d < k of a[d*mr + i] * b[d*nr + j], in order, fused. */
    void (*tile)(float *c, size_t stride, const float *a, const float *b, int k, bool zero);
    /* The same sums, not stored: c[i*stride + j] - less[j] is the score of column first + j in row i; largest begins at the tile's row. */
    void (*largest)(tw_largest largest, const float *less, int first, const float *c, size_t stride, const float *a, const float *b, int k,
                    bool zero);
} tw_matrix_kernel;

/* The i-th kernel that this processor can run, the fastest first, the portable one last; NULL beyond. */
const tw_matrix_kernel *tw_matrix_kernel_at(int i);

/* The right operand b of a product: n rows of k elements, laid out for a kernel. */
typedef struct {
    const tw_matrix_kernel *kernel;
    float *data;
    int n, k;
    int n_most, k_most;
} tw_panels;

/* Room for an operand of up to n x k. kernel NULL: the fastest. 0, or -1 and tw_error(). */
int tw_panels_init(tw_panels *p, int n, int k, const tw_matrix_kernel *kernel);
void tw_panels_fini(tw_panels *p);

/* Lays out b: element d of row j at b[j*row + d*col]; n and k within the room. threads NULL: the caller alone. */
void tw_panels_set(tw_panels *p, const float *b, size_t row, size_t col, int n, int k, tw_blocks *threads);

/* Rows first .. first+n-1 of what was laid out, as an operand that borrows from p; first: a multiple of 32. */
tw_panels tw_panels_part(const tw_panels *p, int first, int n);

/* c[i*stride + j] = (add ? itself : 0) + sum over d of a[i,d] * b[j,d] for i < m, j < b->n; a[i,d] at a[i*row + d*col].
 * Called by several threads at once for different rows of c. */
void tw_product(float *c, size_t stride, const float *a, size_t row, size_t col, int m, const tw_panels *b, bool add);

/* column[i]: of b's rows j that with the largest a[i] b[j] - less[j], of equal ones the lowest; score[i]: how large.
 * 0 and -infinity where all are NaN or -infinity. a [m,k], m <= TW_MATRIX_ROWS. scratch: TW_MATRIX_ROWS * TW_MATRIX_COLUMNS floats. */
void tw_product_largest(int32_t *column, float *score, float *scratch, const float *a, int m, const tw_panels *b, const float *less);

/* Sum of squares of x[D], in double and in a fixed order. */
double tw_sum_squares(const float *x, int D);

/* Scales each of n rows of x [n,D] to length 1; rows of zeros stay. */
void tw_unit_rows(float *x, size_t n, int D);

#endif
