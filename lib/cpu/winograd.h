/* Inside winograd.c: the linear maps of F(4x4, 3x3) in one dimension (Lavin and Gray, arXiv 1509.09308), on vectors of channels. The
 * interpolation points are 0, +-P, +-Q and infinity with P^2 = 1/2, Q^2 = 2: in f32 they lose less precision than the usual 1 and 2. A map serves
 * the forward pass, its transpose the backward pass. in, out: strides of x and y, in vectors; they must not overlap. A vector fills a cache
 * line: narrower ones would write lines in parts, which may be evicted in between. */
#ifndef TW_CPU_WINOGRAD_H
#define TW_CPU_WINOGRAD_H

#include "cpu/vec.h"

enum { TW_LANES = 16 };
typedef float tw_lanes __attribute__((vector_size(TW_LANES * 4)));
typedef int32_t tw_masks __attribute__((vector_size(TW_LANES * 4)));
typedef float tw_lanes_anywhere __attribute__((vector_size(TW_LANES * 4), aligned(4), may_alias));

#define WINO_P 0.70710678118654752f
#define WINO_Q 1.41421356237309505f

/* B^T: 6 pixels to 6 positions. */
TW_KERNEL void tw_wino_input(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes x1 = x[in], x2 = x[2 * in], x3 = x[3 * in], x4 = x[4 * in];
    const tw_lanes a = x4 - 2 * x2, b = WINO_P * (x3 - 2 * x1), c = x4 - 0.5f * x2, d = WINO_Q * (x3 - 0.5f * x1);
    y[0] = x[0] - 2.5f * x2 + x4;
    y[out] = a + b;
    y[2 * out] = a - b;
    y[3 * out] = c + d;
    y[4 * out] = c - d;
    y[5 * out] = x1 - 2.5f * x3 + x[5 * in];
}

/* B: 6 positions to 6 pixels. */
TW_KERNEL void tw_wino_input_transposed(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes p = x[in] + x[2 * in], dp = WINO_P * (x[in] - x[2 * in]);
    const tw_lanes q = x[3 * in] + x[4 * in], dq = WINO_P * (x[3 * in] - x[4 * in]);
    y[0] = x[0];
    y[out] = x[5 * in] - 2 * dp - dq;
    y[2 * out] = -2.5f * x[0] - 2 * p - 0.5f * q;
    y[3 * out] = dp + 2 * dq - 2.5f * x[5 * in];
    y[4 * out] = x[0] + p + q;
    y[5 * out] = x[5 * in];
}

/* A^T: 6 positions to 4 pixels. */
TW_KERNEL void tw_wino_output(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes p = x[in] + x[2 * in], dp = WINO_P * (x[in] - x[2 * in]);
    const tw_lanes q = x[3 * in] + x[4 * in], dq = WINO_Q * (x[3 * in] - x[4 * in]);
    y[0] = x[0] + p + q;
    y[out] = dp + dq;
    y[2 * out] = 0.5f * p + 2 * q;
    y[3 * out] = 0.5f * dp + 2 * dq + x[5 * in];
}

/* A: 4 pixels to 6 positions. */
TW_KERNEL void tw_wino_output_transposed(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes x0 = x[0], x1 = x[in], x2 = x[2 * in], x3 = x[3 * in];
    const tw_lanes a = x0 + 0.5f * x2, b = WINO_P * (x1 + 0.5f * x3), c = x0 + 2 * x2, d = WINO_Q * (x1 + 2 * x3);
    y[0] = x0;
    y[out] = a + b;
    y[2 * out] = a - b;
    y[3 * out] = c + d;
    y[4 * out] = c - d;
    y[5 * out] = x3;
}

/* G: 3 taps to 6 positions. */
TW_KERNEL void tw_wino_taps(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes a = (x[0] + 0.5f * x[2 * in]) * (-1 / 1.5f), b = x[in] * (-WINO_P / 1.5f);
    const tw_lanes c = (x[0] + 2 * x[2 * in]) * (1 / 6.f), d = x[in] * (WINO_Q / 6.f);
    y[0] = x[0];
    y[out] = a + b;
    y[2 * out] = a - b;
    y[3 * out] = c + d;
    y[4 * out] = c - d;
    y[5 * out] = x[2 * in];
}

/* G^T: 6 positions to 3 taps. */
TW_KERNEL void tw_wino_taps_transposed(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in)
{
    const tw_lanes p = (x[in] + x[2 * in]) * (-1 / 1.5f), q = (x[3 * in] + x[4 * in]) * (1 / 6.f);
    y[0] = x[0] + p + q;
    y[out] = (x[in] - x[2 * in]) * (-WINO_P / 1.5f) + (x[3 * in] - x[4 * in]) * (WINO_Q / 6.f);
    y[2 * out] = 0.5f * p + 2 * q + x[5 * in];
}

#endif
