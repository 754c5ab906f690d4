#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/prim.h"
#include "cpu/vec.h"

#include <stdlib.h>

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_prim forward, data, weights;
    void *matrix;   /* [OH*OW*K, H*W*C], device type */
    size_t elements;
} dense;

static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    (void)d;
    return s->train && s->size == 3 && s->stride == 1 && s->pad == 1 && s->H > 1 && s->W > 1 && s->H <= 3 && s->W <= 3;
}

static size_t bytes(const void *way)
{
    const dense *c = way;
    return c->elements * tw_dtype_size(c->dev->precision);
}

static void close_dense(void *way)
{
    dense *c = way;
    tw_prim_fini(&c->forward);
    tw_prim_fini(&c->data);
    tw_prim_fini(&c->weights);
    free(c->matrix);
    free(c);
}

static void *open_dense(tw_dev *d, const tw_conv_shape *s)
{
    dense *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    const int in = s->H * s->W * s->C, out = s->OH * s->OW * s->K;
    const dnnl_data_type_t t = tw_dnnl_type(d->precision);
    *c = (dense){.dev = d, .shape = *s, .elements = (size_t)in * (size_t)out};
    c->matrix = tw_alloc64(bytes(c));
    const tw_product forward = {s->N, in, out, .weights_transposed = true, .src_type = t, .dst_type = t};
    const tw_product data = {s->N, out, in, .src_type = t, .dst_type = t};
    const tw_product weights = {out, s->N, in, .src_transposed = true, .src_type = t, .dst_type = dnnl_f32};
    if (c->matrix != NULL && tw_prim_product(&c->forward, d, &forward) == 0 && tw_prim_product(&c->data, d, &data) == 0 &&
        tw_prim_product(&c->weights, d, &weights) == 0 &&
        tw_dev_scratch(d, TW_SCRATCH_GRADIENT, c->elements * sizeof(float)) != NULL)
        return c;
    close_dense(c);
    return NULL;
}

/* The tap of output place o that meets input place i (both y * W + x), or -1. */
static int tap_between(const tw_conv_shape *s, int o, int i)
{
    const int y = i / s->W - o / s->OW * s->stride + s->pad, x = i % s->W - o % s->OW * s->stride + s->pad;
    return y < 0 || y >= s->size || x < 0 || x >= s->size ? -1 : y * s->size + x;
}

/* The matrix's row for output place o, channel k: C weights per input place. w: [C,taps] of channel k. */
TW_KERNEL void row_any(void *restrict row, const float *restrict w, const tw_conv_shape *s, int o, tw_dtype t)
{
    const int taps = s->size * s->size;
    for (int i = 0; i < s->H * s->W; i++) {
        const int tap = tap_between(s, o, i);
        const size_t at = (size_t)i * (size_t)s->C;
        for (int c = 0; c < s->C; c++)
            tw_put(row, at + (size_t)c, tap < 0 ? 0 : w[c * taps + tap], t);
    }
}

static void fill_row(void *row, const float *w, const tw_conv_shape *s, int o, tw_dtype t)
{
    TW_BY_TYPE(t, row_any, row, w, s, o);
}

static int take_weights(void *way, const float *w, const float *scale)
{
    dense *c = way;
    (void)scale; /* training only: never folded */
    const tw_conv_shape *s = &c->shape;
    const size_t in = (size_t)s->H * (size_t)s->W * (size_t)s->C, per_channel = (size_t)s->C * (size_t)(s->size * s->size);
    const size_t bytes = in * tw_dtype_size(c->dev->precision);
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k++)
        for (int o = 0; o < s->OH * s->OW; o++)
            fill_row((char *)c->matrix + ((size_t)o * (size_t)s->K + (size_t)k) * bytes, w + (size_t)k * per_channel, s, o,
                     c->dev->precision);
    return 0;
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    dense *c = way;
    (void)shift, (void)shortcut;
    return tw_prim_run(&c->forward, c->dev, (void *[]){y, (void *)x, c->matrix});
}

static int backward_data(void *way, void *dx, const void *dy)
{
    dense *c = way;
    return tw_prim_run(&c->data, c->dev, (void *[]){dx, (void *)dy, c->matrix});
}

/* dw += the gradient of output channel k, summed over the places of the matrix where each weight stands, in order. */
static void fold(float *restrict dw, const float *restrict gradient, const tw_conv_shape *s, int k)
{
    const int taps = s->size * s->size;
    const size_t in = (size_t)s->H * (size_t)s->W * (size_t)s->C;
    for (int o = 0; o < s->OH * s->OW; o++)
        for (int i = 0; i < s->H * s->W; i++) {
            const float *g = gradient + ((size_t)o * (size_t)s->K + (size_t)k) * in + (size_t)i * (size_t)s->C;
            const int tap = tap_between(s, o, i);
            for (int c = 0; tap >= 0 && c < s->C; c++)
                dw[c * taps + tap] += g[c];
        }
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    dense *c = way;
    const tw_conv_shape *s = &c->shape;
    float *gradient = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, c->elements * sizeof *gradient);
    if (gradient == NULL || tw_prim_run(&c->weights, c->dev, (void *[]){gradient, (void *)dy, (void *)x}) != 0)
        return -1;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k++)
        fold(dw + (size_t)k * (size_t)s->C * (size_t)(s->size * s->size), gradient, s, k);
    return 0;
}

const tw_conv_way tw_conv_dense = {
    .suits = suits,
    .open = open_dense,
    .close = close_dense,
    .bytes = bytes,
    .weights = take_weights,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weights = backward_weights,
};
