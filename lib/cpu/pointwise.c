/* 1x1 convolutions in bf16 as matrix products by an own kernel (rows16.h), whose epilogue does what a folded norm needs, or takes the sums of an
 * adjacent norm. oneDNN 2.6 runs at two thirds of this speed with a shortcut, and repacks weights at a tenth. With a stride, the pixels in use
 * are gathered before the product, or its rows scattered after it. */
#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/columns.h"
#include "cpu/norm.h"
#include "cpu/ops.h"
#include "cpu/product16.h"
#include "cpu/rows16.h"
#include "cpu/vec.h"

#include <stdlib.h>

#if defined(__x86_64__)
enum { PANEL = TW_PANEL };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    uint32_t *w_forward; /* [K/32, C/2, 32] words of two inputs' weights for an output */
    uint32_t *w_data;    /* [C/32, K/2, 32], or NULL */
    tw_grid16 grid;      /* with a stride: the pixels in use */
    tw_columns *columns; /* the gradient of the weights, or NULL */
} pointwise;

/* In evaluation one picture alone must have enough rows for a product, so that batch size does not matter. */
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    return (s->train || s->folded) && d->own16 && s->size == 1 && s->pad == 0 && s->C % PANEL == 0 && s->K % PANEL == 0 &&
           (s->train ? s->N : 1) * s->OH * s->OW >= TW_PANEL_ROWS / 2;
}

static size_t weights_bytes(const tw_conv_shape *s)
{
    return (size_t)s->C * (size_t)s->K * sizeof(uint16_t);
}

static size_t bytes(const void *way)
{
    const pointwise *p = way;
    return weights_bytes(&p->shape) * (p->w_data != NULL ? 2 : 1);
}

/* Scratch memory for the gathered pixels of a block, per thread. NULL and tw_error(). */
static uint16_t *room_of(const pointwise *p)
{
    return tw_dev_scratch(p->dev, TW_SCRATCH_COLUMNS, (size_t)p->dev->threads * tw_rows16_held(p->shape.C));
}

static void close_pointwise(void *way)
{
    pointwise *p = way;
    tw_columns_free(p->columns);
    free(p->w_forward);
    free(p->w_data);
    free(p);
}

static void *open_pointwise(tw_dev *d, const tw_conv_shape *s)
{
    pointwise *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (pointwise){.dev = d, .shape = *s, .grid = {.down = s->OH, .across = s->OW, .H = s->H, .W = s->W, .step = s->stride, .taps = 1}};
    if ((p->w_forward = tw_alloc64(weights_bytes(s))) != NULL &&
        (!s->train || !s->data_gradient || (p->w_data = tw_alloc64(weights_bytes(s))) != NULL) &&
        (!s->train || (p->columns = tw_columns_new(d, s)) != NULL) && (s->stride == 1 || room_of(p) != NULL))
        return p;
    close_pointwise(p);
    return NULL;
}

/* 32 weights, each times `by`, as bf16. */
TW_AVX512_KERNEL __m512i narrowed(const float *w, __m512 by)
{
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(_mm512_loadu_ps(w + 16), by), _mm512_mul_ps(_mm512_loadu_ps(w), by));
}

/* Packs w [K,C] of outputs k .. k + 31, each times its scale (or NULL), into their panel [C/2,32]. */
TW_AVX512 static void pack(uint32_t *to, const float *w, const float *scale, int k, int C)
{
    for (int half = 0; half < PANEL; half += 16)
        for (int c = 0; c < C; c += PANEL) {
            __m512i m[16];
            for (int i = 0; i < 16; i++) {
                const size_t row = (size_t)(k + half + i);
                m[i] = narrowed(w + row * (size_t)C + (size_t)c, _mm512_set1_ps(scale != NULL ? scale[row] : 1));
            }
            tw_transpose16(m);
            for (int i = 0; i < 16; i++)
                _mm512_store_si512(to + (size_t)(c / 2 + i) * PANEL + half, m[i]);
        }
}

/* Packs the transposed weights, for the data gradient's outputs c .. c + 31, into their panel [K/2,32]. */
TW_AVX512 static void pack_transposed(uint32_t *to, const float *w, int c, int C, int K)
{
    const __m512 one = _mm512_set1_ps(1);
    for (int k = 0; k < K; k += 2, to += PANEL) {
        const float *row = w + (size_t)k * (size_t)C + (size_t)c;
        __m512i low, high;
        tw_words(&low, &high, narrowed(row, one), narrowed(row + C, one));
        _mm512_store_si512(to, low);
        _mm512_store_si512(to + 16, high);
    }
}

static int take_weights(void *way, const float *w, const float *scale)
{
    pointwise *p = way;
    const int C = p->shape.C, K = p->shape.K;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int k = 0; k < K; k += PANEL)
            pack(p->w_forward + (size_t)k * (size_t)C / 2, w, scale, k, C);
#pragma omp for schedule(static)
        for (int c = 0; c < (p->w_data != NULL ? C : 0); c += PANEL)
            pack_transposed(p->w_data + (size_t)c * (size_t)K / 2, w, c, C, K);
    }
    return 0;
}

static int64_t places_of(const tw_conv_shape *s)
{
    return (int64_t)s->N * s->OH * s->OW;
}

static int multiply_forward(const pointwise *p, tw_rows16 *forward, void *y, const void *x)
{
    const tw_conv_shape *s = &p->shape;
    uint16_t *room = s->stride > 1 ? room_of(p) : NULL;
    if (s->stride > 1 && room == NULL)
        return -1;
    forward->w = p->w_forward, forward->x = x, forward->y = y;
    forward->C = s->C, forward->K = s->K, forward->rows = places_of(s), forward->from = s->stride > 1 ? &p->grid : NULL;
    tw_rows16_multiply(forward, room);
    return 0;
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    const tw_conv_shape *s = &((pointwise *)way)->shape;
    tw_rows16 forward = {.shift = shift, .shortcut = s->add ? shortcut : NULL, .relu = shift != NULL && s->relu};
    return multiply_forward(way, &forward, y, x);
}

/* Whether whole blocks divide well enough among the threads. */
static bool blocks_suit(const pointwise *p, int C)
{
    const int64_t blocks = tw_rows16_blocks(places_of(&p->shape), C);
    return blocks % p->dev->threads == 0 || blocks >= 16 * p->dev->threads;
}

static int forward_norms(void *way, void *y, void *x, const tw_conv_norms *n)
{
    const pointwise *p = way;
    const int64_t blocks = tw_rows16_blocks(places_of(&p->shape), p->shape.C);
    tw_norm16_use input = {.to = x, .x = n->maker_x, .shortcut = n->shortcut, .C = p->shape.C};
    tw_rows16 forward = {0};
    if (n->maker != NULL && blocks_suit(p, p->shape.C)) {
        float *room = tw_norm_room(p->dev, n->maker);
        if (room == NULL)
            return -1;
        input.relu = n->maker->relu;
        input.affine = tw_norm_affine_of(n->maker, room);
        forward.input = &input;
    } else if (n->maker != NULL && tw_cpu_norm_apply(p->dev, n->maker, x, n->maker_x, n->shortcut) != 0) {
        return -1;
    }
    if (n->reader != NULL) {
        forward.tail = TW_ROWS_SUMS;
        if ((forward.partial = tw_norm_partial(p->dev, n->reader, blocks, 0)) == NULL)
            return -1;
    }
    if (multiply_forward(p, &forward, y, x) != 0)
        return -1;
    if (n->reader != NULL)
        tw_norm_add_up(n->reader, forward.partial, blocks);
    return 0;
}

/* With a stride most pixels get no gradient: dx is zeroed first. */
static tw_rows16 data_gradient(const pointwise *p, void *dx, const void *dy)
{
    const tw_conv_shape *s = &p->shape;
    const size_t each = (size_t)(s->H * s->W) * (size_t)s->C;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < (s->stride > 1 ? s->N : 0); n++)
        memset((uint16_t *)dx + (size_t)n * each, 0, each * sizeof(uint16_t));
    return (tw_rows16){.w = p->w_data, .x = dy, .y = dx, .C = s->K, .K = s->C, .rows = places_of(s), .to = s->stride > 1 ? &p->grid : NULL};
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const tw_rows16 data = data_gradient(way, dx, dy);
    tw_rows16_multiply(&data, NULL);
    return 0;
}

static int backward_norms(void *way, void *dx, void *dy, const tw_conv_norms *n)
{
    const pointwise *p = way;
    const int64_t blocks = tw_rows16_blocks(places_of(&p->shape), p->shape.K);
    tw_norm16_use input = {.to = dy, .x = n->reader_x, .dy = n->reader_dy, .C = p->shape.K};
    tw_rows16 data = data_gradient(p, dx, dy);
    if (n->reader != NULL && blocks_suit(p, p->shape.K)) {
        float *room = tw_norm_room(p->dev, n->reader);
        if (room == NULL)
            return -1;
        input.coefficients = tw_norm_coefficients_of(n->reader, room);
        data.input = &input;
    } else if (n->reader != NULL && tw_cpu_norm_backward_apply(p->dev, n->reader, dy, n->reader_dy, n->reader_x) != 0) {
        return -1;
    }
    if (n->maker != NULL) {
        double *partial = tw_norm_partial(p->dev, n->maker, blocks, 2);
        if (partial == NULL)
            return -1;
        tw_rows16_for_maker(&data, n, tw_norm_affine_of(n->maker, (void *)(partial + blocks * 2 * n->maker->C)), partial);
    }
    tw_rows16_multiply(&data, NULL);
    if (n->maker != NULL)
        tw_norm_add_up_gradients(n->maker, data.partial, blocks);
    return 0;
}

/* With a stride nothing is done for the maker, most of whose pixels are not read and get no gradient. */
static int norms(const tw_conv_shape *s)
{
    const int always = TW_CONV_SUMS | TW_CONV_BACKWARD_APPLIES;
    return !s->train ? 0 : s->stride > 1 ? always : always | TW_CONV_APPLIES | TW_CONV_BACKWARD_SUMS;
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    return tw_columns_backward_weights(((pointwise *)way)->columns, dw, x, dy);
}

const tw_conv_way tw_conv_pointwise = {
    .suits = suits,
    .open = open_pointwise,
    .close = close_pointwise,
    .bytes = bytes,
    .weights = take_weights,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weights = backward_weights,
    .norms = norms,
    .forward_norms = forward_norms,
    .backward_norms = backward_norms,
};
#else
const tw_conv_way tw_conv_pointwise = {0}; /* suits nothing */
#endif
