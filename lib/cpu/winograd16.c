/* F(2x2, 3x3) in bf16 (Lavin and Gray, arXiv 1509.09308): a tile of 2 x 2 outputs sees 4 x 4 inputs. With V = B^T x B of a tile's inputs and
 * U = G w G^T of the weights, both [16 positions, ...] rounded to bf16, the outputs are A^T (U V) A, the products summed in f32: 4/9 of the
 * multiplications. Rounding V and U gives the outputs an error of 0.45 % (root mean square, random numbers), while rounding inputs and weights
 * to bf16 gives 0.24 %; with F(4x4) it would be 2 %. The data gradient is the same with the kernels turned by 180 degrees.
 *
 * Tiles are taken in blocks whose V stays in the L2 cache; 32 output channels at a time are computed for all positions, so that the products
 * before the output transform stay there too. A tile's bits depend on the tile alone. */
#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/winograd16.h"

#include <stdlib.h>

#if defined(__x86_64__)
#include <omp.h>

enum { BLOCK_BYTES = 640 << 10, AHEAD = 4 /* inputs whose weights are prefetched */ };

static int tiles_along(int pixels)
{
    return (pixels + TILE - 1) / TILE;
}

/* Where incomplete tiles at the edges do not cost more than the algorithm saves. */
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    return (s->train || s->folded) && d->own16 && s->size == 3 && s->stride == 1 && s->pad == 1 && s->C % GROUP == 0 &&
           s->K % GROUP == 0 && s->H > 2 && s->W > 2;
}

static size_t weights_bytes(const tw_conv_shape *s)
{
    return POSITIONS * (size_t)s->C * (size_t)s->K * sizeof(uint16_t);
}

static void close_winograd(void *way)
{
    tw_winograd16 *w = way;
    free(w->u_forward);
    free(w->u_data);
    free(w);
}

static size_t bytes(const void *way)
{
    const tw_winograd16 *w = way;
    return weights_bytes(&w->shape) * (w->u_data != NULL ? 2 : 1);
}

/* Bytes of V and of the products of one tile. */
static size_t tile_bytes(int C)
{
    return POSITIONS * ((size_t)C * sizeof(uint16_t) + GROUP * sizeof(float));
}

/* Tiles of a block: as many as stay in the L2 cache, such that every thread gets the same number of blocks. */
static int block_rows(const tw_winograd16 *w, int C)
{
    const int64_t tiles = (int64_t)w->shape.N * w->down * w->across, most = BLOCK_BYTES / (int64_t)tile_bytes(C) / ROWS * ROWS;
    const int64_t share = tw_pieces(tiles, w->dev->threads), blocks = tw_pieces(share, tw_min(most < ROWS ? ROWS : most, share));
    return (int)(tw_pieces(tw_pieces(share, blocks), ROWS / 2) * (ROWS / 2));
}

static char *room_of(const tw_winograd16 *w, int C)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS, (size_t)w->dev->threads * (size_t)block_rows(w, C) * tile_bytes(C));
}

static void *open_winograd(tw_dev *d, const tw_conv_shape *s)
{
    tw_winograd16 *w = tw_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    *w = (tw_winograd16){.dev = d, .shape = *s, .down = tiles_along(s->H), .across = tiles_along(s->W)};
    w->u_forward = tw_alloc64(weights_bytes(s));
    if (w->u_forward == NULL || room_of(w, s->C) == NULL)
        goto err;
    if (s->train && s->data_gradient && ((w->u_data = tw_alloc64(weights_bytes(s))) == NULL || room_of(w, s->K) == NULL))
        goto err;
    if (s->train && tw_wino16_gradient_reserve(w) != 0)
        goto err;
    return w;
err:
    close_winograd(w);
    return NULL;
}

/* u at all positions, of one input and 16 outputs, whose kernels begin `apart` floats after one another from w on. */
TW_AVX512_KERNEL void spread_taps(__m512 *u, const float *w, int apart, const float *scale, bool turned)
{
    const __m512 by = scale != NULL ? _mm512_loadu_ps(scale) : _mm512_set1_ps(1), half = _mm512_set1_ps(0.5f);
    __m512i taps[16]; /* nine are used */
    tw_taps16(taps, w, (size_t)apart);
    __m512 rows[SEEN][3];
    for (int j = 0; j < 3; j++) {
        __m512 x[3];
        for (int i = 0; i < 3; i++)
            x[i] = _mm512_mul_ps(_mm512_castsi512_ps(taps[turned ? 8 - 3 * i - j : 3 * i + j]), by);
        const __m512 even = _mm512_mul_ps(_mm512_add_ps(x[0], x[2]), half), odd = _mm512_mul_ps(x[1], half);
        rows[0][j] = x[0];
        rows[1][j] = _mm512_add_ps(even, odd);
        rows[2][j] = _mm512_sub_ps(even, odd);
        rows[3][j] = x[2];
    }
    for (int i = 0; i < SEEN; i++) {
        const __m512 even = _mm512_mul_ps(_mm512_add_ps(rows[i][0], rows[i][2]), half), odd = _mm512_mul_ps(rows[i][1], half);
        u[SEEN * i] = rows[i][0];
        u[SEEN * i + 1] = _mm512_add_ps(even, odd);
        u[SEEN * i + 2] = _mm512_sub_ps(even, odd);
        u[SEEN * i + 3] = rows[i][2];
    }
}

/* u of outputs k .. k + 31 from w [outputs, inputs, 3, 3]; turned: from w [inputs, outputs, 3, 3], each kernel turned by 180 degrees. */
TW_AVX512 static void spread_weights(uint32_t *u, const float *w, const float *scale, int k, int inputs, int outputs, bool turned)
{
    const int input = turned ? outputs * 9 : 9, output = turned ? 9 : inputs * 9;
    u += (size_t)k * POSITIONS * (size_t)inputs / 2;
    for (int half = 0; half < GROUP; half += 16) /* 16 rows of weights stay in the L1 cache, 32 may not */
        for (int c = 0; c < inputs; c += 2) {
            const float *from = w + (size_t)(k + half) * (size_t)output, *by = scale != NULL ? scale + k + half : NULL;
            const int group = c / GROUP * GROUP, in = c % GROUP;
            for (int i = 0; i < 2 && turned; i++) /* their stride defeats the hardware prefetcher */
                for (int j = 0; j < 16 * 9; j += 16)
                    __builtin_prefetch(from + (size_t)(c + AHEAD + i) * (size_t)input + j);
            __m512 first[POSITIONS], second[POSITIONS];
            spread_taps(first, from + (size_t)(group + tw_wino16_channel(in)) * (size_t)input, output, by, turned);
            spread_taps(second, from + (size_t)(group + tw_wino16_channel(in + 1)) * (size_t)input, output, by, turned);
            for (int p = 0; p < POSITIONS; p++) {
                uint32_t *to = u + ((size_t)p * (size_t)inputs + (size_t)c) / 2 * GROUP + half;
                _mm512_store_si512(to, tw_word16(first[p], second[p]));
            }
        }
}

static int take_weights(void *way, const float *weights, const float *scale)
{
    tw_winograd16 *w = way;
    const int C = w->shape.C, K = w->shape.K;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int k = 0; k < K; k += GROUP)
            spread_weights(w->u_forward, weights, scale, k, C, K, false);
#pragma omp for schedule(static)
        for (int c = 0; c < (w->u_data != NULL ? C : 0); c += GROUP)
            spread_weights(w->u_data, weights, NULL, c, K, C, true);
    }
    return 0;
}

/* B^T applied to the four pixels of a column: low: the even channels, high: the odd ones. */
TW_AVX512_KERNEL void column(__m512 *low, __m512 *high, const uint16_t *const row[SEEN], bool inside, size_t at)
{
    __m512 l[SEEN], h[SEEN];
#pragma GCC unroll 4
    for (int i = 0; i < SEEN; i++) {
        const __m512i x = _mm512_loadu_si512(inside && row[i] != NULL ? row[i] + at : tw_wino16_zeros);
        l[i] = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
        h[i] = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
    }
    low[0] = _mm512_sub_ps(l[0], l[2]), high[0] = _mm512_sub_ps(h[0], h[2]);
    low[1] = _mm512_add_ps(l[1], l[2]), high[1] = _mm512_add_ps(h[1], h[2]);
    low[2] = _mm512_sub_ps(l[2], l[1]), high[2] = _mm512_sub_ps(h[2], h[1]);
    low[3] = _mm512_sub_ps(l[1], l[3]), high[3] = _mm512_sub_ps(h[1], h[3]);
}

TW_AVX512 void tw_wino16_spread(uint16_t *v, size_t each, size_t apart, const tw_wino16_pass *c, tw_wino16_run r, int group)
{
    const tw_conv_shape *s = &c->w->shape;
    const size_t C = (size_t)c->C;
    const uint16_t *row[SEEN];
    for (int i = 0; i < SEEN; i++) {
        const int y = r.y - 1 + i;
        row[i] = y >= 0 && y < s->H ? c->x + tw_wino16_pixel(c, r.n, y, 0, c->C) + group : NULL;
    }
    __m512 low[SEEN][SEEN], high[SEEN][SEEN]; /* [column, position] */
    column(low[0], high[0], row, r.x > 0, (size_t)(r.x > 0 ? r.x - 1 : 0) * C);
    column(low[1], high[1], row, true, (size_t)r.x * C);
    for (int t = 0; t < r.count; t++) {
        const int x = r.x + TILE * t;
        uint16_t *to = v + (size_t)t * each;
        column(low[2], high[2], row, x + 1 < s->W, (size_t)(x + 1) * C);
        column(low[3], high[3], row, x + 2 < s->W, (size_t)(x + 2) * C);
#pragma GCC unroll 4
        for (int i = 0; i < SEEN; i++, to += SEEN * apart) {
            tw_wino16_store(to, _mm512_sub_ps(low[0][i], low[2][i]), _mm512_sub_ps(high[0][i], high[2][i]));
            tw_wino16_store(to + apart, _mm512_add_ps(low[1][i], low[2][i]), _mm512_add_ps(high[1][i], high[2][i]));
            tw_wino16_store(to + 2 * apart, _mm512_sub_ps(low[2][i], low[1][i]), _mm512_sub_ps(high[2][i], high[1][i]));
            tw_wino16_store(to + 3 * apart, _mm512_sub_ps(low[1][i], low[3][i]), _mm512_sub_ps(high[1][i], high[3][i]));
            low[0][i] = low[2][i], high[0][i] = high[2][i];
            low[1][i] = low[3][i], high[1][i] = high[3][i];
        }
    }
}

/* z [rows,32] = v [rows,C] u [C/2,32]; ROWS / 2 divides rows. */
TW_AVX512_KERNEL void product_any(float *z, const uint16_t *v, const uint32_t *u, int C, int rows)
{
    __m512 sum[ROWS][2];
    tw_product16(sum, (const uint32_t *)v, (size_t)C / 2, u, (size_t)C / 2, rows, NULL);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        _mm512_store_ps(z + i * GROUP, sum[i][0]);
        _mm512_store_ps(z + i * GROUP + 16, sum[i][1]);
    }
}

TW_AVX512 static void product(float *z, const uint16_t *v, const uint32_t *u, int C, int rows)
{
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS)
        product_any(z + (size_t)i * GROUP, v + (size_t)i * (size_t)C, u, C, ROWS);
    if (i < rows)
        product_any(z + (size_t)i * GROUP, v + (size_t)i * (size_t)C, u, C, ROWS / 2);
}

/* A^T z A of 16 channels. */
TW_AVX512_KERNEL void outputs(__m512 y[TILE * TILE], const float *z, size_t apart)
{
    __m512 top[SEEN], bottom[SEEN];
#pragma GCC unroll 4
    for (int j = 0; j < SEEN; j++) {
        const __m512 a = _mm512_load_ps(z + (size_t)(SEEN + j) * apart), b = _mm512_load_ps(z + (size_t)(2 * SEEN + j) * apart);
        top[j] = _mm512_add_ps(_mm512_load_ps(z + (size_t)j * apart), _mm512_add_ps(a, b));
        bottom[j] = _mm512_sub_ps(_mm512_sub_ps(a, b), _mm512_load_ps(z + (size_t)(3 * SEEN + j) * apart));
    }
    y[0] = _mm512_add_ps(top[0], _mm512_add_ps(top[1], top[2]));
    y[1] = _mm512_sub_ps(_mm512_sub_ps(top[1], top[2]), top[3]);
    y[2] = _mm512_add_ps(bottom[0], _mm512_add_ps(bottom[1], bottom[2]));
    y[3] = _mm512_sub_ps(_mm512_sub_ps(bottom[1], bottom[2]), bottom[3]);
}

/* Stores the outputs of a run of tiles in channels k .. k + 31, with the epilogue. */
TW_AVX512 static void gather_run(const tw_wino16_pass *c, tw_wino16_run r, const float *z, size_t apart, int k)
{
    const tw_conv_shape *s = &c->w->shape;
    const __m512 zero = _mm512_setzero_ps();
    const bool relu = c->shift != NULL && s->relu;
    const __m512 shift[2] = {c->shift != NULL ? _mm512_loadu_ps(c->shift + k) : zero, c->shift != NULL ? _mm512_loadu_ps(c->shift + k + 16) : zero};
    for (int t = 0; t < r.count; t++, z += GROUP) {
        __m512 y[2][TILE * TILE];
        outputs(y[0], z, apart);
        outputs(y[1], z + 16, apart);
#pragma GCC unroll 4
        for (int i = 0; i < TILE * TILE; i++) {
            const int row = r.y + i / TILE, col = r.x + TILE * t + i % TILE;
            if (row >= s->H || col >= s->W)
                continue;
            const size_t at = tw_wino16_pixel(c, r.n, row, col, c->K) + (size_t)k;
            tw_store16(c->y + at, _mm512_add_ps(y[0][i], shift[0]), _mm512_add_ps(y[1][i], shift[1]),
                       c->shortcut != NULL ? c->shortcut + at : NULL, relu);
        }
    }
}

/* Tiles first .. first + tiles - 1. room: V [16,rows,C], products [16,rows,32]. */
static void convolve_block(const tw_wino16_pass *c, char *room, int64_t first, int tiles)
{
    const int rows = (int)tw_pieces(tiles, ROWS / 2) * (ROWS / 2);
    const size_t v_apart = (size_t)rows * (size_t)c->C, z_apart = (size_t)rows * GROUP;
    uint16_t *const v = (uint16_t *)room;
    float *const z = (float *)(v + POSITIONS * v_apart);
    tw_wino16_run r;
    for (int t = 0; t < tiles; t += r.count) {
        r = tw_wino16_run_at(c->w, first + t, tiles - t);
        for (int group = 0; group < c->C; group += GROUP)
            tw_wino16_spread(v + (size_t)t * (size_t)c->C + group, (size_t)c->C, v_apart, c, r, group);
    }
    const uint32_t *u = c->u;
    for (int k = 0; k < c->K; k += GROUP) {
        for (size_t p = 0; p < POSITIONS; p++, u += (size_t)c->C / 2 * GROUP)
            product(z + p * z_apart, v + p * v_apart, u, c->C, rows);
        for (int t = 0; t < tiles; t += r.count) {
            r = tw_wino16_run_at(c->w, first + t, tiles - t);
            gather_run(c, r, z + (size_t)t * GROUP, z_apart, k);
        }
    }
}

static int convolve(const tw_wino16_pass *c)
{
    const tw_winograd16 *w = c->w;
    const int rows = block_rows(w, c->C);
    const int64_t tiles = (int64_t)w->shape.N * w->down * w->across;
    const size_t each = (size_t)rows * tile_bytes(c->C);
    char *room = room_of(w, c->C);
    if (room == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < tw_pieces(tiles, rows); block++)
        convolve_block(c, room + (size_t)omp_get_thread_num() * each, block * rows, (int)tw_min(rows, tiles - block * rows));
    return 0;
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    const tw_winograd16 *w = way;
    return convolve(&(tw_wino16_pass){w, w->u_forward, x, y, w->shape.C, w->shape.K, shift, w->shape.add ? shortcut : NULL});
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const tw_winograd16 *w = way;
    return convolve(&(tw_wino16_pass){w, w->u_data, dy, dx, w->shape.K, w->shape.C, NULL, NULL});
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    return tw_wino16_gradient(way, dw, x, dy);
}

const tw_conv_way tw_conv_winograd16 = {
    .suits = suits,
    .open = open_winograd,
    .close = close_winograd,
    .bytes = bytes,
    .weights = take_weights,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weights = backward_weights,
};
#else
const tw_conv_way tw_conv_winograd16 = {0}; /* suits nothing */
#endif
