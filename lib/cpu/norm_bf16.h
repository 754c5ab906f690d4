/* Inside lib/cpu: BatchNorm's passes over a piece of bf16 activations, with few enough instructions to be bound by memory bandwidth. Sums are f64;
 * four rows at a time are first added in f32, which represents products of bf16 numbers exactly, so that the additions' rounding is 2^-15 of
 * that of bf16 itself. */
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

/* Where the ReLU after the norm passes gradients: everywhere (no ReLU); where its result y > 0; or, if no shortcut is added before the ReLU, where
 * x scale + shift > 0: then y need not be read, and each backward pass masks dy by itself. */
typedef enum { TW_NORM_ALL, TW_NORM_BY_Y, TW_NORM_BY_X } tw_norm_mask;

/* dx = a dy + b (x - mean) + e, [C] each. */
typedef struct {
    const float *a, *b, *e, *mean;
    tw_norm_affine by_x; /* TW_NORM_BY_X: masks dy, which is not masked yet; else its scale is NULL */
} tw_norm_coefficients;

/* s, q [n] f64 += the channels' sums of x and of x^2. */
void tw_norm16_sums(double *s, double *q, const uint16_t *x, const tw_norm_piece *p);
/* y = x scale + shift (+ shortcut, unless NULL), then ReLU if relu; NaN stays NaN. */
void tw_norm16_apply(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu);
/* g = dy (+ dy2, unless NULL), masked; s, q [n] f64 += the channels' sums of g and of g x. With dy2 or TW_NORM_BY_Y g replaces dy. */
void tw_norm16_backward_sums(double *s, double *q, uint16_t *dy, const uint16_t *dy2, const uint16_t *y, const uint16_t *x,
                             const tw_norm_affine *k, const tw_norm_piece *p, tw_norm_mask mask);
void tw_norm16_backward_apply(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, const tw_norm_piece *p);

/* A norm to be applied, forward or backward, block by block of its rows, by a convolution that reads them (its prologue). */
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
