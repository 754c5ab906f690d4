/* Inside lib/cpu: BatchNorm's passes over a piece of activations in bf16. A pass waits for memory alone, if its instructions are as few as
 * the processor's bf16 allows. Sums are f64; four rows are added up in f32 before, which holds bf16's products without rounding: what
 * rounding that brings is 2^-15 of what bf16 itself has brought. */
#ifndef TW_CPU_NORM_BF16_H
#define TW_CPU_NORM_BF16_H

#include <stdbool.h>
#include <stdint.h>

/* A piece of [rows,C]: rows [first, first + rows), channels [c, c + n); C: the whole row. */
typedef struct {
    int64_t first, rows;
    int c, n, C;
} tw_norm_piece;

/* The norm as x scale + shift, [C] each. */
typedef struct {
    const float *scale, *shift;
} tw_norm_affine;

/* What the ReLU behind the norm let through: everything, what its result y is above 0 for, or, where nothing is added between the two,
 * what x scale + shift is above 0 for: then y has not to be read, and both backward passes mask dy for themselves. */
typedef enum { TW_NORM_ALL, TW_NORM_BY_Y, TW_NORM_BY_X } tw_norm_mask;

/* dx = a dy + b (x - mean) + e, [C] each. */
typedef struct {
    const float *a, *b, *e, *mean;
    tw_norm_affine by_x; /* TW_NORM_BY_X: dy is not masked yet; else scale NULL */
} tw_norm_coefficients;

/* s, q [n] f64 += the columns' sums of x and of its squares. */
void tw_norm16_sums(double *s, double *q, const uint16_t *x, const tw_norm_piece *p);
/* y = x scale + shift (+ shortcut, unless it is NULL), not below 0 under relu; NaN stays. */
void tw_norm16_apply(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu);
/* g = dy (+ dy2, unless it is NULL), masked; s, q [n] f64 += the columns' sums of g and of g x. dy2 and TW_NORM_BY_Y change dy. */
void tw_norm16_backward_sums(double *s, double *q, uint16_t *dy, const uint16_t *dy2, const uint16_t *y, const uint16_t *x,
                             const tw_norm_affine *k, const tw_norm_piece *p, tw_norm_mask mask);
void tw_norm16_backward_apply(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, const tw_norm_piece *p);

/* A norm applied, forward or backward, for those who go through its rows anyway. */
typedef struct {
    uint16_t *to;                      /* y; backward dx. [rows,C] */
    const uint16_t *x, *shortcut, *dy; /* shortcut NULL: none; dy NULL: forward */
    int C;
    bool relu;
    tw_norm_affine affine;             /* forward */
    tw_norm_coefficients coefficients; /* backward */
} tw_norm16_use;

void tw_norm16_make(const tw_norm16_use *n, int64_t first, int64_t rows);

#endif
