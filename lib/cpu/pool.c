/* Max pooling and global average pooling, channels innermost. */
#include "cpu/ops.h"

#include "cpu/device.h"
#include "cpu/pool.h"
#include "cpu/pool_bf16.h"
#include "cpu/vec.h"

enum { CHANNELS = 64 }; /* processed at a time: their maxima, or sums, stay in registers or the L1 cache */

/* Channels c .. c + m - 1 of one output pixel: maximum and pick over the taps inside the picture. x: the picture's rows from `begin` on. */
TW_KERNEL void max_channels(void *restrict y, uint8_t *restrict pick, const void *restrict x, const tw_pool_shape *s, size_t at, int begin, int oh,
                            int ow, size_t c, size_t m, tw_dtype t)
{
    float best[CHANNELS];
    int32_t which[CHANNELS];
    const int top = oh * s->stride - s->pad, left = ow * s->stride - s->pad;
    bool first = true;
    for (int h = top; h < top + s->size; h++)
        for (int w = left; w < left + s->size; w++) {
            if (h < 0 || h >= s->H || w < 0 || w >= s->W)
                continue;
            const size_t from = ((size_t)(h - begin) * (size_t)s->W + (size_t)w) * (size_t)s->C + c;
            const int32_t tap = (h - top) * s->size + w - left;
            for (size_t k = 0; k < m; k++) {
                const float v = tw_get(x, from + k, t);
                const bool take = first || v > best[k] || v != v; /* NaN wins, as in PyTorch */
                best[k] = take ? v : best[k];
                which[k] = take ? tap : which[k];
            }
            first = false;
        }
    for (size_t k = 0; k < m; k++) {
        tw_put(y, at + c + k, best[k], t);
        pick[at + c + k] = (uint8_t)which[k];
    }
}

TW_KERNEL void max_pixel(void *restrict y, uint8_t *restrict pick, const void *restrict x, const tw_pool_shape *s, size_t at, int begin, int oh,
                         int ow, tw_dtype t)
{
    const size_t C = (size_t)s->C;
    size_t c = 0;
    for (; c + CHANNELS <= C; c += CHANNELS)
        max_channels(y, pick, x, s, at, begin, oh, ow, c, CHANNELS, t);
    if (c < C)
        max_channels(y, pick, x, s, at, begin, oh, ow, c, C - c, t);
}

TW_KERNEL void max_any(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int begin, int64_t row, tw_dtype t)
{
    size_t at = (size_t)row * (size_t)s->OW * (size_t)s->C;
    for (int ow = 0; ow < s->OW; ow++, at += (size_t)s->C)
        max_pixel(y, pick, x, s, at, begin, (int)(row % s->OH), ow, t);
}

TW_CLONES static void max_row(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int begin, int64_t row, tw_dtype t)
{
    TW_BY_TYPE(t, max_any, y, pick, x, s, begin, row);
}

void tw_pool_max_row(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int begin, int64_t row, tw_dtype t)
{
    max_row(y, pick, x, s, begin, row, t);
}

int tw_cpu_max_forward(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x)
{
    const size_t picture = (size_t)(s->H * s->W) * (size_t)s->C * tw_dtype_size(d->precision);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < (int64_t)s->N * s->OH; row++)
        tw_pool_max_row(y, pick, (const char *)x + (size_t)(row / s->OH) * picture, s, 0, row, d->precision);
    return 0;
}

/* Channels c .. c + m - 1 of one input pixel's gradient, gathered from the windows that cover it, in order. */
TW_KERNEL void gather_channels(float *restrict dx, const uint8_t *restrict pick, const float *restrict dy, const tw_pool_shape *s, tw_pool_pixel at,
                               size_t c, size_t m)
{
    float sum[CHANNELS] = {0};
    for (int y = at.down.first; y <= at.down.last; y++)
        for (int x = at.across.first; x <= at.across.last; x++) {
            const int tap = tw_pool_tap(s, &at, y, x);
            const size_t from = at.picture + ((size_t)y * (size_t)s->OW + (size_t)x) * (size_t)s->C + c;
            for (size_t k = 0; k < m; k++)
                sum[k] += pick[from + k] == tap ? dy[from + k] : 0;
        }
    for (size_t k = 0; k < m; k++)
        dx[c + k] = sum[k];
}

TW_CLONES static void gather_pixels(float *dx, const uint8_t *pick, const float *dy, const tw_pool_shape *s, int64_t first, int64_t n)
{
    const size_t C = (size_t)s->C;
    for (int64_t i = first; i < first + n; i++, dx += C) {
        const tw_pool_pixel at = tw_pool_pixel_of(s, i);
        size_t c = 0;
        for (; c + CHANNELS <= C; c += CHANNELS)
            gather_channels(dx, pick, dy, s, at, c, CHANNELS);
        if (c < C)
            gather_channels(dx, pick, dy, s, at, c, C - c);
    }
}

void tw_pool_gather(void *dx, const uint8_t *pick, const void *dy, const tw_pool_shape *s, int64_t first, int64_t n, tw_dtype t)
{
    if (t == TW_BF16)
        tw_pool16_gather(dx, pick, dy, s, first, n);
    else
        gather_pixels(dx, pick, dy, s, first, n);
}

int tw_cpu_max_backward(tw_dev *d, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy)
{
    const size_t row = (size_t)s->W * (size_t)s->C * tw_dtype_size(d->precision);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < (int64_t)s->N * s->H; i++)
        tw_pool_gather((char *)dx + (size_t)i * row, pick, dy, s, i * s->W, s->W, d->precision);
    return 0;
}

/* Sums in f32 whatever the type of the activations. */
TW_KERNEL void mean_any(void *restrict y, const void *restrict x, size_t n, size_t HW, size_t C, tw_dtype t)
{
    for (size_t c = 0; c < C; c += CHANNELS) {
        const size_t m = C - c < CHANNELS ? C - c : CHANNELS;
        float sum[CHANNELS] = {0};
        for (size_t i = 0; i < HW; i++)
            for (size_t k = 0; k < m; k++)
                sum[k] += tw_get(x, (n * HW + i) * C + c + k, t);
        for (size_t k = 0; k < m; k++)
            tw_put(y, n * C + c + k, sum[k] / (float)HW, t);
    }
}

TW_CLONES static void mean_picture(void *y, const void *x, size_t n, size_t HW, size_t C, tw_dtype t)
{
    TW_BY_TYPE(t, mean_any, y, x, n, HW, C);
}

int tw_cpu_mean_forward(tw_dev *d, void *y, const void *x, int N, int HW, int C)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        mean_picture(y, x, (size_t)n, (size_t)HW, (size_t)C, d->precision);
    return 0;
}

TW_KERNEL void mean_backward_any(void *restrict dx, const void *restrict dy, size_t n, size_t HW, size_t C, tw_dtype t)
{
    const float scale = 1 / (float)HW;
    for (size_t i = 0; i < HW; i++)
        for (size_t c = 0; c < C; c++)
            tw_put(dx, (n * HW + i) * C + c, tw_get(dy, n * C + c, t) * scale, t);
}

TW_CLONES static void mean_backward_picture(void *dx, const void *dy, size_t n, size_t HW, size_t C, tw_dtype t)
{
    TW_BY_TYPE(t, mean_backward_any, dx, dy, n, HW, C);
}

int tw_cpu_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int HW, int C)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        mean_backward_picture(dx, dy, (size_t)n, (size_t)HW, (size_t)C, d->precision);
    return 0;
}
