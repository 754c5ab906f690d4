#include "cpu/columns.h"

#include "core/mem.h"
#include "cpu/outer.h"
#include "cpu/prim.h"

#include <stdlib.h>
#include <string.h>

struct tw_columns {
    tw_dev *dev;
    tw_conv_shape shape;
    bool outer;   /* the own kernel (outer.h) does it, which gathers the pixels itself; the members below are not used then */
    tw_prim product;
    int pictures; /* of a piece: a divisor of N, such that a piece's columns stay in the cache */
    size_t gradient_bytes, pixels_bytes;
};

enum { PIECE_BYTES = 8 << 20 };

/* Where the own kernel can do it; otherwise where oneDNN's direct method is slow: small pictures with many channels, as it goes through the whole
 * gradient for every few pixels, and stride 2. */
bool tw_columns_suit(const tw_dev *d, const tw_conv_shape *s)
{
    if (tw_outer_suits(d, s))
        return true;
    return s->train && s->size == 3 && s->OH > 1 && s->OW > 1 && (s->OH * s->OW <= 64 || s->stride == 2) && s->C >= 64 && s->K >= 64;
}

tw_columns *tw_columns_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_columns *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    const int taps = s->size * s->size;
    const size_t row_bytes = (size_t)taps * (size_t)s->C * tw_dtype_size(d->precision);
    *c = (tw_columns){.dev = d, .shape = *s, .outer = tw_outer_suits(d, s), .pictures = s->N};
    c->gradient_bytes = (size_t)s->K * (size_t)taps * (size_t)s->C * sizeof(float);
    if (c->outer) {
        if (tw_outer_reserve(d, s) == 0 && (taps == 1 || tw_dev_scratch(d, TW_SCRATCH_GRADIENT, c->gradient_bytes) != NULL))
            return c;
        tw_columns_free(c);
        return NULL;
    }
    while (c->pictures > 1 && (s->N % c->pictures != 0 || (size_t)(c->pictures * s->OH * s->OW) * row_bytes > PIECE_BYTES))
        c->pictures--;
    const int rows = c->pictures * s->OH * s->OW;
    c->pixels_bytes = (size_t)rows * row_bytes;
    const tw_product product = {s->K, rows, taps * s->C, .src_transposed = true, .src_type = tw_dnnl_type(d->precision),
                                .dst_type = dnnl_f32, .add = true};
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

/* One row of columns: the pixels under the taps of one output place, [taps,C], zeros for padding. */
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

/* dw [C,taps] += gradient [taps,C] transposed */
static void add_transposed(float *restrict dw, const float *restrict gradient, int taps, int C)
{
    for (int tap = 0; tap < taps; tap++)
        for (int i = 0; i < C; i++)
            dw[i * taps + tap] += gradient[tap * C + i];
}

/* dw [K,C,taps] += gradient [K,taps,C] */
static void add_all(float *dw, const float *gradient, const tw_conv_shape *s)
{
    const int taps = s->size * s->size;
    const size_t channel = (size_t)(taps * s->C);
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k++)
        add_transposed(dw + (size_t)k * channel, gradient + (size_t)k * channel, taps, s->C);
}

/* gradient += the product, piece by piece. */
static int add_product(tw_columns *c, float *gradient, const void *x, const void *dy)
{
    const tw_conv_shape *s = &c->shape;
    const int taps = s->size * s->size, places = s->OH * s->OW, piece = c->pictures * places;
    const size_t type = tw_dtype_size(c->dev->precision), pixel = (size_t)s->C * type;
    char *pixels = tw_dev_scratch(c->dev, TW_SCRATCH_COLUMNS, c->pixels_bytes);
    if (pixels == NULL)
        return -1;
    for (int first = 0; first < s->N * places; first += piece) {
#pragma omp parallel for schedule(static)
        for (int row = 0; row < piece; row++)
            gather(pixels + (size_t)row * (size_t)taps * pixel, x, s, first + row, pixel);
        const char *dy_piece = (const char *)dy + (size_t)first * (size_t)s->K * type;
        if (tw_prim_run(&c->product, c->dev, (void *[]){gradient, (void *)dy_piece, pixels}) != 0)
            return -1;
    }
    return 0;
}

int tw_columns_backward_weights(tw_columns *c, float *dw, const void *x, const void *dy)
{
    const tw_conv_shape *s = &c->shape;
    if (c->outer && s->size == 1)
        return tw_outer_add(c->dev, s, dw, NULL, x, dy);
    const size_t channel = (size_t)(s->size * s->size * s->C);
    float *gradient = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, c->gradient_bytes);
    if (gradient == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k++)
        memset(gradient + (size_t)k * channel, 0, channel * sizeof *gradient);
    if ((c->outer ? tw_outer_add(c->dev, s, gradient, NULL, x, dy) : add_product(c, gradient, x, dy)) != 0)
        return -1;
    add_all(dw, gradient, s);
    return 0;
}
