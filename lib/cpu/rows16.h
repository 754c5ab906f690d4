/* Inside lib/cpu: activations in bf16 times weights in panels (product16.h), and what follows while the products are still in registers. */
#ifndef TW_CPU_ROWS16_H
#define TW_CPU_ROWS16_H

#include "cpu/device.h"
#include "cpu/norm_bf16.h"

/* What happens to a product on its way to memory: shift, shortcut and ReLU; the sums of the norm that reads it are found; or it is made the gradient
 * that norm_backward_sums leaves, and its sums are found. */
typedef enum { TW_ROWS_PLAIN, TW_ROWS_SUMS, TW_ROWS_GRADIENT } tw_rows16_tail;

/* Pixels that rows stand for: row (i, j) of the down x across ones of a picture for pixel (step i + y, step j + x) of H x W, or for several, with
 * y and x of each tap. */
typedef struct {
    int down, across, H, W, step, taps;
    signed char y[9], x[9];
} tw_grid16;

/* y [rows,K] = x [rows,C] times w, and what follows that. */
typedef struct {
    const uint32_t *w;           /* [K/32, C/2, 32] */
    const uint16_t *x;
    uint16_t *y;
    int C, K;                    /* multiples of 32 */
    int64_t rows;                /* 7 or more */
    const tw_norm16_use *input;  /* makes x first, block by block; or NULL. Without `from` */
    const tw_grid16 *from;       /* a row of x is not there yet, but pixels of C / taps channels, zeros outside of the picture; or NULL */
    const tw_grid16 *to;         /* a row of y is a pixel; or NULL */
    tw_rows16_tail tail;
    const float *shift;          /* PLAIN: [K], or NULL */
    const uint16_t *shortcut;    /* PLAIN: [rows,K], or NULL */
    bool relu;                   /* PLAIN */
    double *partial;             /* all others: [blocks,2,K], where the sums go to */
    const uint16_t *norm_x;      /* GRADIENT: what the norm read, */
    const uint16_t *norm_y;      /* what it made, [rows,K] each: for the mask */
    bool adds;                   /* GRADIENT: to what is in y */
    tw_norm_mask mask;
    tw_norm_affine affine;
} tw_rows16;

/* The tail of a product that is the gradient of what n->maker made; affine is that norm's, partial as above. */
void tw_rows16_for_maker(tw_rows16 *p, const tw_conv_norms *n, tw_norm_affine affine, double *partial);

/* Into which the rows are divided, and so added up. */
int64_t tw_rows16_blocks(int64_t rows, int C);

/* Bytes of the rows of x that a thread brings together at a time. */
size_t tw_rows16_held(int C);

/* room: with `from`, tw_rows16_held for each thread; else NULL. */
void tw_rows16_multiply(const tw_rows16 *p, uint16_t *room);

#endif
