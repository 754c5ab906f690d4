/* Elementwise operations: conversion, normalisation of pictures, addition, ReLU, dropout. */
#include "cpu/ops.h"

#include "core/philox.h"
#include "cpu/device.h"
#include "cpu/vec.h"
#include "nn/formula.h"

TW_KERNEL void copy_any(void *restrict y, const float *restrict x, size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        tw_put(y, i, x[i], t);
}

TW_CLONES static void copy_piece(void *y, const float *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, copy_any, y, x, from, to);
}

int tw_cpu_from_f32(tw_dev *d, void *y, const float *x, size_t n)
{
    TW_FOR_PIECES(n, from, to, copy_piece(y, x, from, to, d->precision));
    return 0;
}

TW_KERNEL void widen_any(float *restrict y, const void *restrict x, size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        y[i] = tw_get(x, i, t);
}

TW_CLONES static void widen_piece(float *y, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, widen_any, y, x, from, to);
}

int tw_cpu_to_f32(tw_dev *d, float *y, const void *x, size_t n)
{
    TW_FOR_PIECES(n, from, to, widen_piece(y, x, from, to, d->precision));
    return 0;
}

/* (v / 255 - mean) / std for the 256 levels of each colour. */
static void picture_levels(float level[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            level[c][v] = tw_picture_level(v, c);
}

TW_KERNEL void pictures_any(void *restrict y, const uint8_t *restrict x, float level[3][256], size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        for (size_t c = 0; c < 3; c++)
            tw_put(y, 3 * i + c, level[c][x[3 * i + c]], t);
}

TW_CLONES static void pictures_piece(void *y, const uint8_t *x, float level[3][256], size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, pictures_any, y, x, level, from, to);
}

int tw_cpu_pictures(tw_dev *d, void *y, const uint8_t *x, size_t pixels)
{
    float level[3][256];
    picture_levels(level);
    TW_FOR_PIECES(pixels, from, to, pictures_piece(y, x, level, from, to, d->precision));
    return 0;
}

TW_KERNEL void add_any(void *restrict y, const void *restrict x, size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        tw_put(y, i, tw_get(y, i, t) + tw_get(x, i, t), t);
}

TW_CLONES static void add_piece(void *y, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, add_any, y, x, from, to);
}

int tw_cpu_add(tw_dev *d, void *y, const void *x, size_t n)
{
    TW_FOR_PIECES(n, from, to, add_piece(y, x, from, to, d->precision));
    return 0;
}

TW_KERNEL void relu_any(void *restrict y, const void *restrict x, size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++) {
        const float v = tw_get(x, i, t);
        tw_put(y, i, v < 0 ? 0 : v, t);
    }
}

TW_CLONES static void relu_piece(void *y, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, relu_any, y, x, from, to);
}

int tw_cpu_relu_forward(tw_dev *d, void *y, const void *x, size_t n)
{
    TW_FOR_PIECES(n, from, to, relu_piece(y, x, from, to, d->precision));
    return 0;
}

TW_KERNEL void relu_backward_any(void *restrict dx, const void *restrict dy, const void *restrict x, size_t from, size_t to,
                                 tw_dtype t)
{
    for (size_t i = from; i < to; i++)
        tw_put(dx, i, tw_get(x, i, t) > 0 ? tw_get(dy, i, t) : 0, t);
}

TW_CLONES static void relu_backward_piece(void *dx, const void *dy, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, relu_backward_any, dx, dy, x, from, to);
}

int tw_cpu_relu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n)
{
    TW_FOR_PIECES(n, from, to, relu_backward_piece(dx, dy, x, from, to, d->precision));
    return 0;
}

static void drop_row(const tw_drop *drop, void *y, const void *x, int row, int C, tw_dtype t)
{
    const double limit = drop->p * 0x1p32;
    const float scale = (float)(1 / (1 - drop->p));
    tw_rng rng;
    tw_rng_init(&rng, drop->seed, TW_USE_DROP, (uint64_t)drop->step, tw_drop_number(drop, row), (uint32_t)drop->layer);
    for (int c = 0; c < C; c++) {
        const size_t i = (size_t)row * (size_t)C + (size_t)c;
        const bool keep = (double)tw_rng_u32(&rng) >= limit;
        tw_put(y, i, keep ? tw_get(x, i, t) * scale : 0, t);
    }
}

int tw_cpu_dropout(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C)
{
#pragma omp parallel for schedule(static)
    for (int row = 0; row < rows; row++)
        drop_row(drop, y, x, row, C, d->precision);
    return 0;
}
