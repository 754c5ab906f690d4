/* 3x3 convolutions with stride 2 in bf16, in training: a product of the pixels under the taps, gathered block by block (im2col). In the data gradient
 * the taps that reach a pixel of x depend on the parity of its row and column: one if both are even, two if one is odd, four if both are. So
 * there are four products, one per parity, whose rows are scattered to their pixels. */
#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/columns.h"
#include "cpu/norm.h"
#include "cpu/product16.h"
#include "cpu/rows16.h"
#include "cpu/vec.h"

#include <stdlib.h>

#if defined(__x86_64__)
enum { PANEL = TW_PANEL, TAPS = 9, PARITIES = 4 };

/* The data gradient of the pixels of one parity: the taps that reach them, the rows of dy to gather, the pixels to scatter to. */
typedef struct {
    int tap[4];
    tw_grid16 from, to;
    size_t w; /* offset of its weights in w_data, in words */
} parity;

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_grid16 from;      /* forward */
    parity parity[PARITIES];
    uint32_t *w_forward; /* [K/32, 9 C/2, 32] words of two inputs' weights for an output */
    uint32_t *w_data;    /* for each parity [C/32, taps K/2, 32] */
    tw_columns *columns; /* the gradient of the weights */
} strided;

static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    return s->train && d->own16 && s->size == 3 && s->stride == 2 && s->pad == 1 && s->C % PANEL == 0 && s->K % PANEL == 0 &&
           s->N * (s->H / 2) * (s->W / 2) >= TW_PANEL_ROWS / 2 && tw_columns_suit(d, s);
}

static size_t weights_bytes(const tw_conv_shape *s)
{
    return TAPS * (size_t)s->C * (size_t)s->K * sizeof(uint16_t);
}

static size_t bytes(const void *way)
{
    const strided *c = way;
    return weights_bytes(&c->shape) * (c->w_data != NULL ? 2 : 1);
}

static void close_strided(void *way)
{
    strided *c = way;
    tw_columns_free(c->columns);
    free(c->w_forward);
    free(c->w_data);
    free(c);
}

/* Along one side: the taps that reach pixels of a parity, and for each the offset of the place in dy. */
static int taps_of(int odd, int tap[2], signed char at[2])
{
    tap[0] = odd ? 0 : 1, at[0] = (signed char)odd;
    tap[1] = 2, at[1] = 0;
    return odd ? 2 : 1;
}

static void describe(strided *c)
{
    const tw_conv_shape *s = &c->shape;
    c->from = (tw_grid16){.down = s->OH, .across = s->OW, .H = s->H, .W = s->W, .step = 2, .taps = TAPS};
    for (int t = 0; t < TAPS; t++)
        c->from.y[t] = (signed char)(t / 3 - 1), c->from.x[t] = (signed char)(t % 3 - 1);
    size_t w = 0;
    for (int i = 0; i < PARITIES; i++) {
        parity *p = &c->parity[i];
        const int odd_y = i / 2, odd_x = i % 2, down = (s->H + 1 - odd_y) / 2, across = (s->W + 1 - odd_x) / 2;
        int tap_y[2], tap_x[2];
        signed char y[2], x[2];
        const int n_y = taps_of(odd_y, tap_y, y), n_x = taps_of(odd_x, tap_x, x);
        p->from = (tw_grid16){.down = down, .across = across, .H = s->OH, .W = s->OW, .step = 1, .taps = n_y * n_x};
        p->to = (tw_grid16){.down = down, .across = across, .H = s->H, .W = s->W, .step = 2, .taps = 1, .y = {(signed char)odd_y},
                            .x = {(signed char)odd_x}};
        for (int t = 0; t < n_y * n_x; t++) {
            p->tap[t] = 3 * tap_y[t / n_x] + tap_x[t % n_x];
            p->from.y[t] = y[t / n_x], p->from.x[t] = x[t % n_x];
        }
        p->w = w;
        w += (size_t)(p->from.taps * s->K / 2) * (size_t)s->C;
    }
}

/* Scratch memory for the gathered rows, per thread, of that many channels. NULL and tw_error(). */
static uint16_t *room_of(const strided *c, int channels)
{
    return tw_dev_scratch(c->dev, TW_SCRATCH_COLUMNS, (size_t)c->dev->threads * tw_rows16_held(channels));
}

static void *open_strided(tw_dev *d, const tw_conv_shape *s)
{
    strided *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->dev = d;
    c->shape = *s;
    describe(c);
    if ((c->w_forward = tw_alloc64(weights_bytes(s))) != NULL && (!s->data_gradient || (c->w_data = tw_alloc64(weights_bytes(s))) != NULL) &&
        (c->columns = tw_columns_new(d, s)) != NULL && room_of(c, TAPS * s->C) != NULL && room_of(c, PARITIES * s->K) != NULL)
        return c;
    close_strided(c);
    return NULL;
}

/* Packs w [K,C,9] of outputs k .. k + 31 into their panel. */
TW_AVX512 static void pack(uint32_t *to, const float *w, int k, int C)
{
    for (int half = 0; half < PANEL; half += 16)
        for (int c = 0; c < C; c += 2) {
            const float *from = w + ((size_t)(k + half) * (size_t)C + (size_t)c) * TAPS;
            __m512i first[16], second[16];
            tw_taps16(first, from, (size_t)C * TAPS);
            tw_taps16(second, from + TAPS, (size_t)C * TAPS);
            for (int t = 0; t < TAPS; t++)
                _mm512_store_si512(to + (size_t)(t * C + c) / 2 * PANEL + half, tw_word16((__m512)first[t], (__m512)second[t]));
        }
}

/* Packs the weights of inputs c .. c + 31 into their panels, for all parities. */
TW_AVX512 static void pack_data(const strided *s, const float *w, int c)
{
    const int C = s->shape.C, K = s->shape.K;
    for (int k = 0; k < K; k += 2)
        for (int half = 0; half < PANEL; half += 16) {
            const float *from = w + ((size_t)k * (size_t)C + (size_t)(c + half)) * TAPS;
            __m512i first[16], second[16];
            tw_taps16(first, from, TAPS);
            tw_taps16(second, from + (size_t)C * TAPS, TAPS);
            for (const parity *p = s->parity; p < s->parity + PARITIES; p++) {
                uint32_t *to = s->w_data + p->w + (size_t)c * (size_t)(p->from.taps * K / 2) + half;
                for (int t = 0; t < p->from.taps; t++)
                    _mm512_store_si512(to + (size_t)(t * K + k) / 2 * PANEL, tw_word16((__m512)first[p->tap[t]], (__m512)second[p->tap[t]]));
            }
        }
}

static int take_weights(void *way, const float *w, const float *scale)
{
    const strided *s = way;
    const int C = s->shape.C, K = s->shape.K;
    (void)scale; /* training only: never folded */
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int k = 0; k < K; k += PANEL)
            pack(s->w_forward + (size_t)k * TAPS * (size_t)C / 2, w, k, C);
#pragma omp for schedule(static)
        for (int c = 0; c < (s->w_data != NULL ? C : 0); c += PANEL)
            pack_data(s, w, c);
    }
    return 0;
}

static int multiply_forward(const strided *c, tw_rows16 *forward, void *y, const void *x)
{
    uint16_t *room = room_of(c, forward->C);
    if (room == NULL)
        return -1;
    forward->w = c->w_forward, forward->x = x, forward->y = y, forward->K = c->shape.K, forward->from = &c->from;
    tw_rows16_multiply(forward, room);
    return 0;
}

static tw_rows16 places_of(const strided *c)
{
    return (tw_rows16){.rows = (int64_t)c->shape.N * c->shape.OH * c->shape.OW, .C = TAPS * c->shape.C};
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    tw_rows16 forward = places_of(way);
    (void)shift, (void)shortcut;
    return multiply_forward(way, &forward, y, x);
}

static int forward_norms(void *way, void *y, void *x, const tw_conv_norms *n)
{
    const strided *c = way;
    tw_rows16 forward = places_of(c);
    const int64_t blocks = tw_rows16_blocks(forward.rows, forward.C);
    forward.tail = TW_ROWS_SUMS;
    if ((forward.partial = tw_norm_partial(c->dev, n->reader, blocks, 0)) == NULL || multiply_forward(c, &forward, y, x) != 0)
        return -1;
    tw_norm_add_up(n->reader, forward.partial, blocks);
    return 0;
}

/* The data gradient's product of one parity, without its epilogue. */
static tw_rows16 data_of(const strided *c, const parity *p, void *dx, const void *dy)
{
    return (tw_rows16){.w = c->w_data + p->w, .x = dy, .y = dx, .C = p->from.taps * c->shape.K, .K = c->shape.C,
                       .rows = (int64_t)c->shape.N * p->from.down * p->from.across, .from = &p->from, .to = &p->to};
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const strided *c = way;
    uint16_t *room = room_of(c, PARITIES * c->shape.K);
    for (int i = 0; i < PARITIES && room != NULL; i++) {
        const tw_rows16 data = data_of(c, &c->parity[i], dx, dy);
        tw_rows16_multiply(&data, room);
    }
    return room != NULL ? 0 : -1;
}

static int backward_norms(void *way, void *dx, void *dy, const tw_conv_norms *n)
{
    const strided *c = way;
    const tw_norm *maker = n->maker;
    tw_rows16 data[PARITIES];
    int64_t blocks = 0;
    for (int i = 0; i < PARITIES; i++) {
        data[i] = data_of(c, &c->parity[i], dx, dy);
        blocks += tw_rows16_blocks(data[i].rows, data[i].C);
    }
    uint16_t *room = room_of(c, PARITIES * c->shape.K);
    double *const partial = tw_norm_partial(c->dev, maker, blocks, 2), *at = partial;
    if (room == NULL || partial == NULL)
        return -1;
    const tw_norm_affine affine = tw_norm_affine_of(maker, (void *)(partial + blocks * 2 * maker->C));
    for (int i = 0; i < PARITIES; i++) {
        tw_rows16_for_maker(&data[i], n, affine, at);
        tw_rows16_multiply(&data[i], room);
        at += tw_rows16_blocks(data[i].rows, data[i].C) * 2 * maker->C;
    }
    tw_norm_add_up_gradients(maker, partial, blocks);
    return 0;
}

static int norms(const tw_conv_shape *s)
{
    (void)s;
    return TW_CONV_SUMS | TW_CONV_BACKWARD_SUMS;
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    return tw_columns_backward_weights(((strided *)way)->columns, dw, x, dy);
}

const tw_conv_way tw_conv_strided = {
    .suits = suits,
    .open = open_strided,
    .close = close_strided,
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
const tw_conv_way tw_conv_strided = {0}; /* suits nothing */
#endif
