/* Inside lib/cpu: bf16 activations times packed weights (product16.h), with the epilogue applied while the products are in registers. */
#ifndef TW_CPU_ROWS16_H
#define TW_CPU_ROWS16_H

#include "cpu/device.h"
#include "cpu/norm_bf16.h"

/* The epilogue. PLAIN: shift, shortcut and ReLU. SUMS: norm_sums of the result, for the norm that reads it. GRADIENT: the result is the gradient of
 * a norm's output; masks it and takes its sums, as norm_backward_sums. */
typedef enum { TW_ROWS_PLAIN, TW_ROWS_SUMS, TW_ROWS_GRADIENT } tw_rows16_tail;

/* Maps matrix rows to pixels: row (i, j) of the down x across rows of a picture stands for the pixels (step i + y[t], step j + x[t]) of H x W,
 * one per tap t. */
typedef struct {
    int down, across, H, W, step, taps;
    signed char y[9], x[9];
} tw_grid16;

/* y [rows,K] = x [rows,C] times w, and the epilogue. */
typedef struct {
    const uint32_t *w;           /* [K/32, C/2, 32] */
    const uint16_t *x;
    uint16_t *y;
    int C, K;                    /* multiples of 32 */
    int64_t rows;                /* 7 or more */
    const tw_norm16_use *input;  /* prologue: the norm that makes x, applied block by block; or NULL. Not with `from` */
    const tw_grid16 *from;       /* im2col: x holds pixels of C / taps channels; a row is gathered from those of its taps, zeros outside; or NULL */
    const tw_grid16 *to;         /* scatter: row of y -> the pixel where it is stored; or NULL */
    tw_rows16_tail tail;
    const float *shift;          /* PLAIN: [K], or NULL */
    const uint16_t *shortcut;    /* PLAIN: [rows,K], or NULL */
    bool relu;                   /* PLAIN */
    double *partial;             /* SUMS, GRADIENT: [blocks,2,K], each block's sums */
    const uint16_t *norm_x;      /* GRADIENT: the norm's input [rows,K] */
    const uint16_t *norm_y;      /* GRADIENT: its result [rows,K], for the mask */
    bool adds;                   /* GRADIENT: the product is added to what is in y */
    tw_norm_mask mask;           /* GRADIENT */
    tw_norm_affine affine;       /* GRADIENT, mask by x */
} tw_rows16;

/* Sets the epilogue GRADIENT for the norm n->maker; affine: that norm's, partial: as above. */
void tw_rows16_for_maker(tw_rows16 *p, const tw_conv_norms *n, tw_norm_affine affine, double *partial);

/* Number of blocks that the rows are divided into, which is also that of the partial sums. */
int64_t tw_rows16_blocks(int64_t rows, int C);

/* Bytes of the rows of x that a thread gathers at a time (`from`). */
size_t tw_rows16_held(int C);

/* Computes the product. room: with `from`, tw_rows16_held bytes for each thread; else NULL. */
void tw_rows16_multiply(const tw_rows16 *p, uint16_t *room);

#endif
