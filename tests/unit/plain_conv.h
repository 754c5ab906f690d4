/* What a convolution is, for the tests of those of the CPU. */
#ifndef TW_TEST_PLAIN_CONV_H
#define TW_TEST_PLAIN_CONV_H

#include "nn/backend.h"

/* The three passes of a convolution in one walk over all (output, tap) pairs. */
static inline void plain_conv(const tw_conv_shape *s, const float *x, const float *w, const float *dy, double *y, double *dx, double *dw)
{
    for (int n = 0; n < s->N; n++)
        for (int o = 0; o < s->OH * s->OW; o++)
            for (int t = 0; t < s->size * s->size; t++) {
                const int h = o / s->OW * s->stride - s->pad + t / s->size, v = o % s->OW * s->stride - s->pad + t % s->size;
                if (h < 0 || h >= s->H || v < 0 || v >= s->W)
                    continue;
                for (int k = 0; k < s->K; k++)
                    for (int c = 0; c < s->C; c++) {
                        const size_t in = (size_t)((n * s->H + h) * s->W + v) * (size_t)s->C + (size_t)c;
                        const size_t out = (size_t)(n * s->OH * s->OW + o) * (size_t)s->K + (size_t)k;
                        const size_t at = (size_t)(k * s->C + c) * (size_t)(s->size * s->size) + (size_t)t;
                        y[out] += (double)x[in] * w[at];
                        dx[in] += (double)dy[out] * w[at];
                        dw[at] += (double)dy[out] * x[in];
                    }
            }
}

#endif
