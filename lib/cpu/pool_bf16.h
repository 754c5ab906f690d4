/* Inside lib/cpu: max pooling's gradient, and its kernel in bf16. */
#ifndef TW_CPU_POOL_BF16_H
#define TW_CPU_POOL_BF16_H

#include "nn/backend.h"

/* The windows along one side that cover a pixel: first .. last. */
typedef struct {
    int first, last;
} tw_pool_windows;

/* An input pixel: its row and column, the windows that cover it, and the offset of its picture's first output in dy and pick. */
typedef struct {
    int h, w;
    tw_pool_windows down, across;
    size_t picture;
} tw_pool_pixel;

static inline tw_pool_windows tw_pool_covering(int at, const tw_pool_shape *s, int out)
{
    const int end = at + s->pad, begin = end - s->size + 1;
    tw_pool_windows w = {begin <= 0 ? 0 : (begin + s->stride - 1) / s->stride, end / s->stride};
    w.last = w.last < out ? w.last : out - 1;
    return w;
}

/* Pixel i of [N,H,W]. */
static inline tw_pool_pixel tw_pool_pixel_of(const tw_pool_shape *s, int64_t i)
{
    const int64_t row = i / s->W, n = row / s->H;
    const int h = (int)(row % s->H), w = (int)(i % s->W);
    return (tw_pool_pixel){h, w, tw_pool_covering(h, s, s->OH), tw_pool_covering(w, s, s->OW),
                           (size_t)n * (size_t)s->OH * (size_t)s->OW * (size_t)s->C};
}

/* The number of the tap of window (y, x) that falls on the pixel. */
static inline int tw_pool_tap(const tw_pool_shape *s, const tw_pool_pixel *at, int y, int x)
{
    return (at->h + s->pad - y * s->stride) * s->size + at->w + s->pad - x * s->stride;
}

/* As tw_pool_gather. */
void tw_pool16_gather(uint16_t *dx, const uint8_t *pick, const uint16_t *dy, const tw_pool_shape *s, int64_t first, int64_t n);

#endif
