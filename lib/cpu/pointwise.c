/* 1x1 convolutions in bf16: products of pixels and weights by an own kernel, with all that follows a folded one while the sums are still in
 * registers. oneDNN 2.6 adds a shortcut at two thirds of the rate, and lays weights out anew at a tenth. At a stride the pixels in use are
 * brought together before, or sent apart after the product. */
#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/columns.h"
#include "cpu/product16.h"
#include "cpu/vec.h"

#include <stdlib.h>

#if defined(__x86_64__)
#include <omp.h>

enum { PANEL = TW_PANEL, ROWS = TW_PANEL_ROWS, BLOCK = 8 * ROWS };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    uint32_t *w_forward; /* [K/32, C/2, 32] words of two inputs' weights for an output */
    uint32_t *w_data;    /* [C/32, K/2, 32], or NULL */
    tw_columns *columns; /* the gradient of the weights, or NULL */
} pointwise;

/* In evaluation a picture alone must have the rows of a product, whatever is beside it. */
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    return (s->train || s->folded) && d->own16 && s->size == 1 && s->pad == 0 && s->C % PANEL == 0 && s->K % PANEL == 0 &&
           (s->train ? s->N : 1) * s->OH * s->OW >= ROWS / 2;
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

/* The pixels of a block, one behind the other, of each thread. NULL and tw_error(). */
static uint16_t *room_of(const pointwise *p)
{
    return tw_dev_scratch(p->dev, TW_SCRATCH_COLUMNS, (size_t)p->dev->threads * (BLOCK + ROWS) * (size_t)p->shape.C * sizeof(uint16_t));
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
    *p = (pointwise){.dev = d, .shape = *s};
    if ((p->w_forward = tw_alloc64(weights_bytes(s))) != NULL &&
        (!s->train || !s->data_gradient || (p->w_data = tw_alloc64(weights_bytes(s))) != NULL) &&
        (!s->train || (p->columns = tw_columns_new(d, s)) != NULL) && (s->stride == 1 || room_of(p) != NULL))
        return p;
    close_pointwise(p);
    return NULL;
}

/* 32 weights in bf16, each times `by`. */
TW_AVX512_KERNEL __m512i narrowed(const float *w, __m512 by)
{
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(_mm512_loadu_ps(w + 16), by), _mm512_mul_ps(_mm512_loadu_ps(w), by));
}

/* w [K,C] of the outputs [k, k + 32), each times its scale (or NULL), to their panel [C/2,32]. */
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

/* The transposed weights of the outputs [c, c + 32) to their panel [K/2,32]. */
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

/* What a pass multiplies: y [rows,K] = x [rows,C] times w, and what follows that. */
typedef struct {
    const uint32_t *w;
    const uint16_t *x;
    uint16_t *y;
    int C, K;
    int64_t rows;
    const float *shift;          /* of a folded one, [K]; else NULL */
    const uint16_t *shortcut;    /* or NULL */
    bool relu;
    const tw_conv_shape *stride; /* whose places rows are, or NULL */
    bool apart;                  /* of that, the rows of y are the pixels in use; else those of x are */
} product;

/* The pixel that output place i reads. */
static int64_t pixel_of(const tw_conv_shape *s, int64_t i)
{
    const int64_t n = i / (s->OH * s->OW), in = i % (s->OH * s->OW);
    return (n * s->H + in / s->OW * s->stride) * s->W + in % s->OW * s->stride;
}

/* 32 outputs k of rows from `row` on, which lie at x. next: as tw_product16 says. */
TW_AVX512_KERNEL void rows_any(const product *p, const uint16_t *x, int64_t row, int k, int rows, const char *next)
{
    const size_t words = (size_t)p->C / 2;
    __m512 sum[ROWS][2], shift[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t at[ROWS];
    for (int i = 0; i < rows; i++) { /* meanwhile to be fetched */
        at[i] = (size_t)(p->apart ? pixel_of(p->stride, row + i) : row + i) * (size_t)p->K + (size_t)k;
        __builtin_prefetch(p->y + at[i], 1);
        if (p->shortcut != NULL)
            __builtin_prefetch(p->shortcut + at[i]);
    }
    tw_product16(sum, (const uint32_t *)x, words, p->w + (size_t)k * words, words, rows, next);
    if (p->shift != NULL) {
        shift[0] = _mm512_loadu_ps(p->shift + k);
        shift[1] = _mm512_loadu_ps(p->shift + k + 16);
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
        tw_store16(p->y + at[i], _mm512_add_ps(sum[i][0], shift[0]), _mm512_add_ps(sum[i][1], shift[1]),
                   p->shortcut != NULL ? p->shortcut + at[i] : NULL, p->relu);
}

/* The rows [row, end), at least ROWS / 2, which lie at x. The last ones may be made twice. */
TW_AVX512 static void multiply_rows(const product *p, const uint16_t *x, int64_t row, int64_t end, int k)
{
    const size_t C = (size_t)p->C;
    const char *next = (const char *)(x + (size_t)(end - row) * C);
    for (; row + ROWS <= end; row += ROWS, x += ROWS * C, next += C / 2 * 64)
        if (k == 0)
            rows_any(p, x, row, k, ROWS, next);
        else
            rows_any(p, x, row, k, ROWS, NULL);
    for (; row < end; row += ROWS / 2, x += ROWS / 2 * C) {
        const int64_t back = row + ROWS / 2 > end ? row + ROWS / 2 - end : 0;
        rows_any(p, x - (size_t)back * C, row - back, k, ROWS / 2, NULL);
    }
}

static void bring_together(uint16_t *to, const product *p, int64_t row, int64_t end)
{
    for (; row < end; row++, to += p->C)
        memcpy(to, p->x + (size_t)pixel_of(p->stride, row) * (size_t)p->C, (size_t)p->C * sizeof *to);
}

/* room: of pixels brought together, by thread; or NULL. */
static void multiply(const product *p, uint16_t *room)
{
    const int64_t sevens = p->rows / (ROWS / 2), blocks = tw_pieces(p->rows, BLOCK), panels = p->K / PANEL;
#pragma omp parallel
    {
        uint16_t *const own = room != NULL ? room + (size_t)omp_get_thread_num() * (BLOCK + ROWS) * (size_t)p->C : NULL;
        int64_t held = -1;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < blocks * panels; i++) {
            const int64_t block = i / panels, first = sevens * block / blocks * (ROWS / 2), next = sevens * (block + 1) / blocks * (ROWS / 2);
            const int64_t end = block + 1 < blocks ? next : p->rows;
            if (own != NULL && held != block)
                bring_together(own, p, first, end);
            held = block;
            multiply_rows(p, own != NULL ? own : p->x + (size_t)first * (size_t)p->C, first, end, (int)(i % panels) * PANEL);
        }
    }
}

static int64_t places_of(const tw_conv_shape *s)
{
    return (int64_t)s->N * s->OH * s->OW;
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    const pointwise *p = way;
    const tw_conv_shape *s = &p->shape;
    uint16_t *room = s->stride > 1 ? room_of(p) : NULL;
    if (s->stride > 1 && room == NULL)
        return -1;
    multiply(&(product){p->w_forward, x, y, s->C, s->K, places_of(s), shift, s->add ? shortcut : NULL, shift != NULL && s->relu, s, false}, room);
    return 0;
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const pointwise *p = way;
    const tw_conv_shape *s = &p->shape;
    if (s->stride > 1) {
#pragma omp parallel for schedule(static)
        for (int n = 0; n < s->N; n++) {
            const size_t each = (size_t)(s->H * s->W) * (size_t)s->C;
            memset((uint16_t *)dx + (size_t)n * each, 0, each * sizeof(uint16_t));
        }
    }
    multiply(&(product){.w = p->w_data, .x = dy, .y = dx, .C = s->K, .K = s->C, .rows = places_of(s), .stride = s, .apart = s->stride > 1}, NULL);
    return 0;
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
};
#else
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    (void)d, (void)s;
    return false;
}

const tw_conv_way tw_conv_pointwise = {.suits = suits};
#endif
