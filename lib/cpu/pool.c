/* Max pooling and the mean over all pixels: a picture per thread at a time, channels innermost. */
#include "cpu/ops.h"

#include "cpu/device.h"
#include "cpu/vec.h"

/* One output pixel: y and pick [C] from the taps of its window that lie inside the picture x [H,W,C]. */
TW_KERNEL void max_pixel(void *restrict y, uint8_t *restrict pick, const void *restrict x, const tw_pool_shape *s, size_t at,
                         size_t picture, int oh, int ow, tw_dtype t)
{
    bool first = true;
    for (int tap = 0; tap < s->size * s->size; tap++) {
        const int h = oh * s->stride - s->pad + tap / s->size, w = ow * s->stride - s->pad + tap % s->size;
        if (h < 0 || h >= s->H || w < 0 || w >= s->W)
            continue;
        const size_t from = picture + ((size_t)h * (size_t)s->W + (size_t)w) * (size_t)s->C;
        for (size_t c = 0; c < (size_t)s->C; c++) {
            const float v = tw_get(x, from + c, t), best = tw_get(y, at + c, t);
            const bool take = first || v > best || v != v; /* NaN wins, as in PyTorch */
            tw_put(y, at + c, take ? v : best, t);
            pick[at + c] = take ? (uint8_t)tap : pick[at + c];
        }
        first = false;
    }
}

TW_KERNEL void max_any(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int n, tw_dtype t)
{
    const size_t picture = (size_t)n * (size_t)s->H * (size_t)s->W * (size_t)s->C;
    size_t at = (size_t)n * (size_t)s->OH * (size_t)s->OW * (size_t)s->C;
    for (int oh = 0; oh < s->OH; oh++)
        for (int ow = 0; ow < s->OW; ow++, at += (size_t)s->C)
            max_pixel(y, pick, x, s, at, picture, oh, ow, t);
}

TW_CLONES static void max_picture(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int n, tw_dtype t)
{
    TW_BY_TYPE(t, max_any, y, pick, x, s, n);
}

int tw_cpu_max_forward(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < s->N; n++)
        max_picture(y, pick, x, s, n, d->precision);
    return 0;
}

/* One input pixel gathers from the windows that cover it, in their order. */
TW_KERNEL void max_gather(void *restrict dx, const uint8_t *restrict pick, const void *restrict dy, const tw_pool_shape *s, size_t at,
                          size_t picture, int h, int w, tw_dtype t)
{
    for (size_t c = 0; c < (size_t)s->C; c++)
        tw_put(dx, at + c, 0, t);
    for (int tap = s->size * s->size - 1; tap >= 0; tap--) { /* the last tap belongs to the first window */
        const int y = h + s->pad - tap / s->size, x = w + s->pad - tap % s->size;
        if (y < 0 || x < 0 || y % s->stride != 0 || x % s->stride != 0 || y / s->stride >= s->OH || x / s->stride >= s->OW)
            continue;
        const size_t from = picture + ((size_t)(y / s->stride) * (size_t)s->OW + (size_t)(x / s->stride)) * (size_t)s->C;
        for (size_t c = 0; c < (size_t)s->C; c++) {
            const float g = pick[from + c] == tap ? tw_get(dy, from + c, t) : 0;
            tw_put(dx, at + c, tw_get(dx, at + c, t) + g, t);
        }
    }
}

TW_KERNEL void max_backward_any(void *dx, const uint8_t *pick, const void *dy, const tw_pool_shape *s, int n, tw_dtype t)
{
    const size_t picture = (size_t)n * (size_t)s->OH * (size_t)s->OW * (size_t)s->C;
    size_t at = (size_t)n * (size_t)s->H * (size_t)s->W * (size_t)s->C;
    for (int h = 0; h < s->H; h++)
        for (int w = 0; w < s->W; w++, at += (size_t)s->C)
            max_gather(dx, pick, dy, s, at, picture, h, w, t);
}

TW_CLONES static void max_backward_picture(void *dx, const uint8_t *pick, const void *dy, const tw_pool_shape *s, int n, tw_dtype t)
{
    TW_BY_TYPE(t, max_backward_any, dx, pick, dy, s, n);
}

int tw_cpu_max_backward(tw_dev *d, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < s->N; n++)
        max_backward_picture(dx, pick, dy, s, n, d->precision);
    return 0;
}

enum { CHANNELS = 64 }; /* added up at a time, in f32 whatever the type of the activations */

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
