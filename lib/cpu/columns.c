#include "core/error.h"
#include "core/mem.h"
#include "cpu/dense.h"
#include "cpu/prim.h"

#include <stdlib.h>
#include <string.h>

struct tw_columns {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_prim product;
    size_t gradient_bytes, pixels_bytes;
};

/* Small pictures in many channels: there the direct method adds to the whole gradient for every few pixels. */
bool tw_columns_suit(const tw_conv_shape *s)
{
    return s->train && s->size == 3 && s->OH > 1 && s->OH * s->OW <= 16 && s->C >= 64 && s->K >= 64;
}

tw_columns *tw_columns_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_columns *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    const int taps = s->size * s->size, rows = s->N * s->OH * s->OW;
    *c = (tw_columns){.dev = d, .shape = *s};
    c->gradient_bytes = (size_t)s->K * (size_t)taps * (size_t)s->C * sizeof(float);
    c->pixels_bytes = (size_t)rows * (size_t)taps * (size_t)s->C * tw_dtype_size(d->precision);
    const tw_product product = {s->K, rows, taps * s->C, .src_transposed = true, .src_type = tw_dnnl_type(d->precision),
                                .dst_type = dnnl_f32};
    if (tw_prim_product(&c->product, d, &product) == 0 && tw_dev_scratch(d, TW_SCRATCH_GRADIENT, c->gradient_bytes) != NULL &&
        tw_dev_scratch(d, TW_SCRATCH_COLUMNS, c->pixels_bytes) != NULL)
        return c;
    tw_columns_free(c);
    return NULL;
}

void tw_columns_free(tw_columns *c)
{
    if (c == NULL)
        return;
    tw_prim_fini(&c->product);
    free(c);
}

/* The pixels under the taps of one output place: [taps,C], zeros for padding. */
static void gather(char *to, const char *x, const tw_conv_shape *s, int row, size_t pixel)
{
    const int n = row / (s->OH * s->OW), o = row % (s->OH * s->OW);
    const int top = o / s->OW * s->stride - s->pad, left = o % s->OW * s->stride - s->pad;
    for (int y = top; y < top + s->size; y++)
        for (int z = left; z < left + s->size; z++, to += pixel) {
            if (y < 0 || y >= s->H || z < 0 || z >= s->W)
                memset(to, 0, pixel);
            else
                memcpy(to, x + (((size_t)n * (size_t)s->H + (size_t)y) * (size_t)s->W + (size_t)z) * pixel, pixel);
        }
}

int tw_columns_backward_weights(tw_columns *c, float *dw, const void *x, const void *dy)
{
    const tw_conv_shape *s = &c->shape;
    const int taps = s->size * s->size, rows = s->N * s->OH * s->OW;
    const size_t pixel = (size_t)s->C * tw_dtype_size(c->dev->precision);
    float *gradient = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, c->gradient_bytes);
    char *pixels = tw_dev_scratch(c->dev, TW_SCRATCH_COLUMNS, c->pixels_bytes);
    if (gradient == NULL || pixels == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int row = 0; row < rows; row++)
        gather(pixels + (size_t)row * (size_t)taps * pixel, x, s, row, pixel);
    if (tw_prim_run(&c->product, c->dev, (void *[]){gradient, (void *)dy, pixels}) != 0)
        return -1;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k++) /* [taps,C] to [C,taps] */
        for (int tap = 0; tap < taps; tap++)
            for (int i = 0; i < s->C; i++)
                dw[((size_t)k * (size_t)s->C + (size_t)i) * (size_t)taps + (size_t)tap] +=
                    gradient[((size_t)k * (size_t)taps + (size_t)tap) * (size_t)s->C + (size_t)i];
    return 0;
}
