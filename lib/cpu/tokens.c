/* A vision transformer's tokens and residual branches: see nn/backend.h. */
#include "cpu/ops.h"

#include "core/philox.h"
#include "cpu/device.h"
#include "cpu/vec.h"
#include "nn/formula.h"

#include <string.h>

/* base [C]: what is added to token i of every picture. */
TW_KERNEL void base_any(float *restrict base, const tw_tokens *t, int i)
{
    const int C = t->C, cells = t->grid * t->grid;
    const float *from = t->pos + (t->resize == NULL ? (size_t)i * (size_t)C : 0), *first = i == 0 ? t->cls : t->bias;
    for (int c = 0; c < C; c++)
        base[c] = first[c];
    if (i == 0 || t->resize == NULL) {
        for (int c = 0; c < C; c++)
            base[c] += from[c];
        return;
    }
    const float *weight = t->resize + (size_t)(i - 1) * (size_t)cells;
    for (int k = 0; k < cells; k++) {
        if (weight[k] == 0)
            continue;
        const float *pos = t->pos + (size_t)(1 + k) * (size_t)C;
        for (int c = 0; c < C; c++)
            base[c] += weight[k] * pos[c];
    }
}

TW_CLONES static void base_token(float *base, const tw_tokens *t, int i)
{
    base_any(base, t, i);
}

TW_KERNEL void place_any(void *restrict y, const void *restrict x, const float *restrict base, const tw_tokens *t, size_t n,
                         tw_dtype type)
{
    const size_t C = (size_t)t->C, T = 1 + (size_t)t->patches;
    for (size_t c = 0; c < C; c++)
        tw_put(y, n * T * C + c, base[c], type);
    for (size_t i = C; i < T * C; i++)
        tw_put(y, n * T * C + i, tw_get(x, n * (T - 1) * C + i - C, type) + base[i], type);
}

TW_CLONES static void place_picture(void *y, const void *x, const float *base, const tw_tokens *t, size_t n, tw_dtype type)
{
    TW_BY_TYPE(type, place_any, y, x, base, t, n);
}

int tw_cpu_tokens_forward(tw_dev *d, const tw_tokens *t, void *y, const void *x)
{
    float *base = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)(1 + t->patches) * (size_t)t->C * sizeof *base);
    if (base == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int i = 0; i <= t->patches; i++)
        base_token(base + (size_t)i * (size_t)t->C, t, i);
#pragma omp parallel for schedule(static)
    for (int n = 0; n < t->N; n++)
        place_picture(y, x, base, t, (size_t)n, d->precision);
    return 0;
}

/* sum [C] = the sum of dy's token i over the pictures, in order; copies its patches to dx. */
TW_KERNEL void gather_any(float *restrict sum, void *restrict dx, const void *restrict dy, const tw_tokens *t, size_t i,
                          tw_dtype type)
{
    const size_t C = (size_t)t->C, T = 1 + (size_t)t->patches;
    memset(sum, 0, C * sizeof *sum);
    for (size_t n = 0; n < (size_t)t->N; n++)
        for (size_t c = 0; c < C; c++)
            sum[c] += tw_get(dy, (n * T + i) * C + c, type);
    for (size_t n = 0; i > 0 && n < (size_t)t->N; n++)
        for (size_t c = 0; c < C; c++)
            tw_put(dx, (n * (T - 1) + i - 1) * C + c, tw_get(dy, (n * T + i) * C + c, type), type);
}

TW_CLONES static void gather_token(float *sum, void *dx, const void *dy, const tw_tokens *t, size_t i, tw_dtype type)
{
    TW_BY_TYPE(type, gather_any, sum, dx, dy, t, i);
}

static void add_row(float *restrict to, const float *restrict x, float scale, int C)
{
    for (int c = 0; c < C; c++)
        to[c] += scale * x[c];
}

/* dpos of position k += the sums of the tokens that it was interpolated to, weighted. */
static void position_gradient(float *dpos, const float *sum, const tw_tokens *t, int k)
{
    const size_t C = (size_t)t->C, cells = (size_t)t->grid * (size_t)t->grid;
    if (k == 0 || t->resize == NULL) {
        add_row(dpos + (size_t)k * C, sum + (size_t)k * C, 1, t->C);
        return;
    }
    for (size_t i = 0; i < (size_t)t->patches; i++) {
        const float weight = t->resize[i * cells + (size_t)k - 1];
        if (weight != 0)
            add_row(dpos + (size_t)k * C, sum + (1 + i) * C, weight, t->C);
    }
}

int tw_cpu_tokens_backward(tw_dev *d, const tw_tokens *t, void *dx, float *dbias, float *dcls, float *dpos, const void *dy)
{
    const size_t C = (size_t)t->C;
    float *sum = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)(1 + t->patches) * C * sizeof *sum);
    if (sum == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int i = 0; i <= t->patches; i++)
        gather_token(sum + (size_t)i * C, dx, dy, t, (size_t)i, d->precision);
    add_row(dcls, sum, 1, t->C);
    for (int i = 1; i <= t->patches; i++)
        add_row(dbias, sum + (size_t)i * C, 1, t->C);
#pragma omp parallel for schedule(static)
    for (int k = 0; k <= t->grid * t->grid; k++)
        position_gradient(dpos, sum, t, k);
    return 0;
}

TW_KERNEL void mean_any(void *restrict y, const void *restrict x, size_t n, size_t T, size_t C, size_t first, size_t count,
                        tw_dtype t)
{
    for (size_t c = 0; c < C; c++) {
        float sum = 0;
        for (size_t i = first; i < first + count; i++)
            sum += tw_get(x, (n * T + i) * C + c, t);
        tw_put(y, n * C + c, sum / (float)count, t);
    }
}

int tw_cpu_token_mean_forward(tw_dev *d, void *y, const void *x, int N, int T, int C, int first, int count)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        TW_BY_TYPE(d->precision, mean_any, y, x, (size_t)n, (size_t)T, (size_t)C, (size_t)first, (size_t)count);
    return 0;
}

TW_KERNEL void mean_backward_any(void *restrict dx, const void *restrict dy, size_t n, size_t T, size_t C, size_t first,
                                 size_t count, tw_dtype t)
{
    const float scale = 1 / (float)count;
    for (size_t i = 0; i < T; i++) {
        const bool seen = i >= first && i < first + count;
        for (size_t c = 0; c < C; c++)
            tw_put(dx, (n * T + i) * C + c, seen ? tw_get(dy, n * C + c, t) * scale : 0, t);
    }
}

int tw_cpu_token_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int T, int C, int first, int count)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        TW_BY_TYPE(d->precision, mean_backward_any, dx, dy, (size_t)n, (size_t)T, (size_t)C, (size_t)first, (size_t)count);
    return 0;
}

int tw_cpu_join(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B)
{
    const size_t size = tw_dtype_size(d->precision), left = (size_t)A * size, right = (size_t)B * size;
    for (size_t n = 0; n < (size_t)N; n++) {
        char *row = (char *)y + n * (left + right);
        memcpy(row, (const char *)a + n * left, left);
        memcpy(row + left, (const char *)b + n * right, right);
    }
    return 0;
}

/* The factor of a sample's branch: 1 / (1 - p), or 0 if it is dropped. */
static float kept(const tw_drop *drop, int sample)
{
    tw_rng rng;
    if (!(drop->p > 0))
        return 1;
    tw_rng_init(&rng, drop->seed, TW_USE_DROP, (uint64_t)drop->step, tw_drop_number(drop, sample), (uint32_t)drop->layer);
    return (double)tw_rng_u32(&rng) >= drop->p * 0x1p32 ? (float)(1 / (1 - drop->p)) : 0;
}

TW_KERNEL void residual_any(void *restrict y, const void *restrict x, const void *restrict shortcut, size_t from, size_t to,
                            float scale, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        tw_put(y, i, tw_get(shortcut, i, t) + scale * tw_get(x, i, t), t);
}

TW_CLONES static void residual_piece(void *y, const void *x, const void *shortcut, size_t from, size_t to, float scale, tw_dtype t)
{
    TW_BY_TYPE(t, residual_any, y, x, shortcut, from, to, scale);
}

int tw_cpu_residual_forward(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        residual_piece(y, x, shortcut, (size_t)n * each, (size_t)(n + 1) * each, kept(drop, n), d->precision);
    return 0;
}

TW_KERNEL void scale_any(void *restrict dx, const void *restrict dy, size_t from, size_t to, float scale, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        tw_put(dx, i, scale * tw_get(dy, i, t), t);
}

TW_CLONES static void scale_piece(void *dx, const void *dy, size_t from, size_t to, float scale, tw_dtype t)
{
    TW_BY_TYPE(t, scale_any, dx, dy, from, to, scale);
}

int tw_cpu_residual_backward(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each)
{
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        scale_piece(dx, dy, (size_t)n * each, (size_t)(n + 1) * each, kept(drop, n), d->precision);
    return 0;
}
