/* F(2x2, 3x3) in bf16 (Lavin and Gray, arXiv 1509.09308): a tile of 2 x 2 outputs sees 4 x 4 inputs. With V = B^T x B of a tile's inputs and
 * U = G w G^T of the weights, both [16 positions, ...] rounded to bf16, the outputs are A^T (U V) A, the products summed in f32: 4/9 of the
 * multiplications. Rounding V too makes the outputs about half as inexact again as rounding inputs and weights alone does (0.38 against
 * 0.24 % of their size); F(4x4) would lose 2 %. Backward for the data is the same with the weights turned around.
 *
 * Tiles are taken in blocks whose V stays in the second cache; of the outputs, 32 channels at a time go through all positions, so that what
 * lies between product and outputs never leaves it either. A tile's bits depend on the tile alone. */
#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/columns.h"
#include "cpu/outer.h"
#include "cpu/product16.h"
#include "cpu/vec.h"

#include <stdlib.h>

#if defined(__x86_64__)
#include <omp.h>

enum { POSITIONS = 16, TILE = 2, SEEN = 4, GROUP = TW_PANEL /* channels */, ROWS = TW_PANEL_ROWS /* tiles */, BLOCK_BYTES = 640 << 10 };
enum { STRIP = 8 /* outputs' channels of a gradient's tile */, STEPS = 256, PIECE_BYTES = 8 << 20 };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    int down, across;         /* tiles of a picture */
    uint32_t *u_forward;      /* [K/32, 16, C/2, 32] words of two inputs' weights for an output */
    uint32_t *u_data;         /* [C/32, 16, K/2, 32], or NULL */
    int steps;                /* of a piece, see piece */
} winograd16;

static int tiles_along(int pixels)
{
    return (pixels + TILE - 1) / TILE;
}

/* Where edge tiles do not cost more than the minimal filtering saves. */
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    return (s->train || s->folded) && d->precision == TW_BF16 && s->size == 3 && s->stride == 1 && s->pad == 1 && s->C % GROUP == 0 &&
           s->K % GROUP == 0 && s->H > 2 && s->W > 2;
}

static size_t weights_bytes(const tw_conv_shape *s)
{
    return POSITIONS * (size_t)s->C * (size_t)s->K * sizeof(uint16_t);
}

static void close_winograd(void *way)
{
    winograd16 *w = way;
    free(w->u_forward);
    free(w->u_data);
    free(w);
}

static size_t bytes(const void *way)
{
    const winograd16 *w = way;
    return weights_bytes(&w->shape) * (w->u_data != NULL ? 2 : 1);
}

/* V and the products of one tile. */
static size_t tile_bytes(int C)
{
    return POSITIONS * ((size_t)C * sizeof(uint16_t) + GROUP * sizeof(float));
}

/* Tiles of a block: as many as stay in the second cache, and the same number of blocks for every thread. */
static int block_rows(const winograd16 *w, int C)
{
    const int64_t tiles = (int64_t)w->shape.N * w->down * w->across, most = BLOCK_BYTES / (int64_t)tile_bytes(C) / ROWS * ROWS;
    const int64_t share = tw_pieces(tiles, w->dev->threads), blocks = tw_pieces(share, tw_min(most < ROWS ? ROWS : most, share));
    return (int)(tw_pieces(tw_pieces(share, blocks), ROWS / 2) * (ROWS / 2));
}

static char *room_of(const winograd16 *w, int C)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS, (size_t)w->dev->threads * (size_t)block_rows(w, C) * tile_bytes(C));
}

/* The words of a step, at all positions. */
static size_t step_bytes(const tw_conv_shape *s)
{
    return POSITIONS * (size_t)(s->C + s->K) * sizeof(uint32_t);
}

/* Of a thread that makes them: V of ROWS tiles. */
static size_t words_room_bytes(const tw_conv_shape *s)
{
    return POSITIONS * ROWS * (size_t)(s->C > s->K ? s->C : s->K) * sizeof(uint16_t);
}

static char *pieces_room(const winograd16 *w)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS,
                          (size_t)w->steps * step_bytes(&w->shape) + (size_t)w->dev->threads * words_room_bytes(&w->shape));
}

static size_t gradient_bytes(const tw_conv_shape *s)
{
    return 9 * (size_t)s->K * (size_t)s->C * sizeof(float);
}

static float *gradient_room(const winograd16 *w)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_GRADIENT, gradient_bytes(&w->shape));
}

static void *open_winograd(tw_dev *d, const tw_conv_shape *s)
{
    winograd16 *w = tw_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    *w = (winograd16){.dev = d, .shape = *s, .down = tiles_along(s->H), .across = tiles_along(s->W)};
    w->u_forward = tw_alloc64(weights_bytes(s));
    if (w->u_forward == NULL || room_of(w, s->C) == NULL)
        goto err;
    if (s->train && s->data_gradient && ((w->u_data = tw_alloc64(weights_bytes(s))) == NULL || room_of(w, s->K) == NULL))
        goto err;
    w->steps = (int)tw_min(STEPS, PIECE_BYTES / (int64_t)step_bytes(s) / ROWS * ROWS);
    if (s->train && (pieces_room(w) == NULL || gradient_room(w) == NULL))
        goto err;
    return w;
err:
    close_winograd(w);
    return NULL;
}

/* Channels of a group are in the order of V's: the even ones, then the odd ones. */
static int channel_at(int i)
{
    return i < GROUP / 2 ? 2 * i : 2 * i - GROUP + 1;
}

/* The kernels of one input and 16 outputs from w on, `apart` one from another, at all positions. */
TW_AVX512_KERNEL void spread_taps(__m512 *u, const float *w, int apart, const float *scale, bool turned)
{
    const __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32(apart), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512 by = scale != NULL ? _mm512_loadu_ps(scale) : _mm512_set1_ps(1), half = _mm512_set1_ps(0.5f);
    __m512 rows[SEEN][3];
    for (int j = 0; j < 3; j++) {
        __m512 x[3];
        for (int i = 0; i < 3; i++)
            x[i] = _mm512_mul_ps(_mm512_i32gather_ps(at, w + (turned ? 8 - 3 * i - j : 3 * i + j), sizeof *w), by);
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

/* w [outputs, inputs, 3, 3], or turned [inputs, outputs, 3, 3] with each kernel turned by 180 degrees, to u of the outputs [k, k + 32). */
TW_AVX512 static void spread_weights(uint32_t *u, const float *w, const float *scale, int k, int inputs, int outputs, bool turned)
{
    const int input = turned ? outputs * 9 : 9, output = turned ? 9 : inputs * 9;
    u += (size_t)k * POSITIONS * (size_t)inputs / 2;
    for (int c = 0; c < inputs; c += 2)
        for (int half = 0; half < GROUP; half += 16) {
            const float *from = w + (size_t)(k + half) * (size_t)output, *by = scale != NULL ? scale + k + half : NULL;
            const int group = c / GROUP * GROUP, in = c % GROUP;
            __m512 first[POSITIONS], second[POSITIONS];
            spread_taps(first, from + (size_t)(group + channel_at(in)) * (size_t)input, output, by, turned);
            spread_taps(second, from + (size_t)(group + channel_at(in + 1)) * (size_t)input, output, by, turned);
            for (int p = 0; p < POSITIONS; p++) {
                const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first[p]));
                const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second[p]));
                uint32_t *to = u + ((size_t)p * (size_t)inputs + (size_t)c) / 2 * GROUP + half;
                _mm512_store_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
            }
        }
}

static int take_weights(void *way, const float *weights, const float *scale)
{
    winograd16 *w = way;
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

/* What a pass convolves: x [N,H,W,C] to y [N,H,W,K]. */
typedef struct {
    const winograd16 *w;
    const uint32_t *u;
    const uint16_t *x;
    uint16_t *y;
    int C, K;
    const float *shift;       /* of a folded one, [K]; else NULL */
    const uint16_t *shortcut; /* or NULL */
} convolution;

/* `count` tiles side by side: the first one's picture, and its first output's row and column. */
typedef struct {
    int n, y, x, count;
} run;

static run run_at(const winograd16 *w, int64_t tile, int most)
{
    const int each = w->down * w->across, in = (int)(tile % each), x = in % w->across;
    return (run){(int)(tile / each), in / w->across * TILE, x * TILE, (int)tw_min(w->across - x, most)};
}

static size_t pixel_at(const convolution *c, int n, int y, int x, int channels)
{
    const tw_conv_shape *s = &c->w->shape;
    return (((size_t)n * (size_t)s->H + (size_t)y) * (size_t)s->W + (size_t)x) * (size_t)channels;
}

static const uint16_t zeros[GROUP]; /* in the place of a pixel outside the picture */

/* B^T over the four pixels of a column: `low` have the even channels, `high` the odd ones. */
TW_AVX512_KERNEL void column(__m512 *low, __m512 *high, const uint16_t *const row[SEEN], bool inside, size_t at)
{
    __m512 l[SEEN], h[SEEN];
#pragma GCC unroll 4
    for (int i = 0; i < SEEN; i++) {
        const __m512i x = _mm512_loadu_si512(inside && row[i] != NULL ? row[i] + at : zeros);
        l[i] = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
        h[i] = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
    }
    low[0] = _mm512_sub_ps(l[0], l[2]), high[0] = _mm512_sub_ps(h[0], h[2]);
    low[1] = _mm512_add_ps(l[1], l[2]), high[1] = _mm512_add_ps(h[1], h[2]);
    low[2] = _mm512_sub_ps(l[2], l[1]), high[2] = _mm512_sub_ps(h[2], h[1]);
    low[3] = _mm512_sub_ps(l[1], l[3]), high[3] = _mm512_sub_ps(h[1], h[3]);
}

TW_AVX512_KERNEL void store_position(uint16_t *to, __m512 low, __m512 high)
{
    _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* V of a run of tiles, `apart` from position to position. */
TW_AVX512 static void spread_run(uint16_t *v, size_t apart, const convolution *c, run r)
{
    const tw_conv_shape *s = &c->w->shape;
    const size_t C = (size_t)c->C;
    const uint16_t *row[SEEN];
    for (int i = 0; i < SEEN; i++) {
        const int y = r.y - 1 + i;
        row[i] = y >= 0 && y < s->H ? c->x + pixel_at(c, r.n, y, 0, c->C) : NULL;
    }
    for (size_t group = 0; group < C; group += GROUP) {
        __m512 low[SEEN][SEEN], high[SEEN][SEEN]; /* [column, position] */
        column(low[0], high[0], row, r.x > 0, (size_t)(r.x > 0 ? r.x - 1 : 0) * C + group);
        column(low[1], high[1], row, true, (size_t)r.x * C + group);
        for (int t = 0; t < r.count; t++) {
            const int x = r.x + TILE * t;
            uint16_t *to = v + (size_t)t * C + group;
            column(low[2], high[2], row, x + 1 < s->W, (size_t)(x + 1) * C + group);
            column(low[3], high[3], row, x + 2 < s->W, (size_t)(x + 2) * C + group);
#pragma GCC unroll 4
            for (int i = 0; i < SEEN; i++, to += SEEN * apart) {
                store_position(to, _mm512_sub_ps(low[0][i], low[2][i]), _mm512_sub_ps(high[0][i], high[2][i]));
                store_position(to + apart, _mm512_add_ps(low[1][i], low[2][i]), _mm512_add_ps(high[1][i], high[2][i]));
                store_position(to + 2 * apart, _mm512_sub_ps(low[2][i], low[1][i]), _mm512_sub_ps(high[2][i], high[1][i]));
                store_position(to + 3 * apart, _mm512_sub_ps(low[1][i], low[3][i]), _mm512_sub_ps(high[1][i], high[3][i]));
                low[0][i] = low[2][i], high[0][i] = high[2][i];
                low[1][i] = low[3][i], high[1][i] = high[3][i];
            }
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

/* The outputs of a run of tiles in the channels [k, k + 32). */
TW_AVX512 static void gather_run(const convolution *c, run r, const float *z, size_t apart, int k)
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
            const size_t at = pixel_at(c, r.n, row, col, c->K) + (size_t)k;
            tw_store16(c->y + at, _mm512_add_ps(y[0][i], shift[0]), _mm512_add_ps(y[1][i], shift[1]),
                       c->shortcut != NULL ? c->shortcut + at : NULL, relu);
        }
    }
}

/* The tiles [first, first + tiles). room: V [16,rows,C], products [16,rows,32]. */
static void convolve_block(const convolution *c, char *room, int64_t first, int tiles)
{
    const int rows = (int)tw_pieces(tiles, ROWS / 2) * (ROWS / 2);
    const size_t v_apart = (size_t)rows * (size_t)c->C, z_apart = (size_t)rows * GROUP;
    uint16_t *const v = (uint16_t *)room;
    float *const z = (float *)(v + POSITIONS * v_apart);
    run r;
    for (int t = 0; t < tiles; t += r.count) {
        r = run_at(c->w, first + t, tiles - t);
        spread_run(v + (size_t)t * (size_t)c->C, v_apart, c, r);
    }
    const uint32_t *u = c->u;
    for (int k = 0; k < c->K; k += GROUP) {
        for (size_t p = 0; p < POSITIONS; p++, u += (size_t)c->C / 2 * GROUP)
            product(z + p * z_apart, v + p * v_apart, u, c->C, rows);
        for (int t = 0; t < tiles; t += r.count) {
            r = run_at(c->w, first + t, tiles - t);
            gather_run(c, r, z + (size_t)t * GROUP, z_apart, k);
        }
    }
}

static int convolve(const convolution *c)
{
    const winograd16 *w = c->w;
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
    const winograd16 *w = way;
    return convolve(&(convolution){w, w->u_forward, x, y, w->shape.C, w->shape.K, shift, w->shape.add ? shortcut : NULL});
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const winograd16 *w = way;
    return convolve(&(convolution){w, w->u_data, dy, dx, w->shape.K, w->shape.C, NULL, NULL});
}

/* The gradient of the weights: G^T (sum over the tiles of V Z^T) G with Z = A dy A^T, V and Z rounded to bf16. Tiles are taken by twos, steps,
 * as the instructions multiply them, and in pieces. */
typedef struct {
    int64_t first;    /* tile */
    int tiles, steps;
    uint32_t *v, *z;  /* [16, C/32, steps, 32] and [16, K/8, steps, 8] words of two tiles each, channels in the order of V's */
} piece;

/* A over the pixels of a column: two to four. */
TW_AVX512_KERNEL void column_gradient(__m512 y[SEEN], __m512 top, __m512 bottom)
{
    y[0] = top;
    y[1] = _mm512_add_ps(top, bottom);
    y[2] = _mm512_sub_ps(top, bottom);
    y[3] = _mm512_sub_ps(_mm512_setzero_ps(), bottom);
}

/* Z of a run of tiles, as spread_run. */
TW_AVX512 static void spread_gradient(uint16_t *z, size_t apart, const convolution *c, run r)
{
    const tw_conv_shape *s = &c->w->shape;
    const size_t C = (size_t)c->C;
    const uint16_t *row = c->x + pixel_at(c, r.n, r.y, r.x, c->C), *below = r.y + 1 < s->H ? row + (size_t)s->W * C : NULL;
    const __m512i odd = _mm512_set1_epi32((int)0xffff0000);
    for (size_t group = 0; group < C; group += GROUP)
        for (int t = 0; t < r.count; t++) {
            __m512 low[TILE][SEEN], high[TILE][SEEN]; /* [column, position] */
#pragma GCC unroll 2
            for (int i = 0; i < TILE; i++) {
                const bool inside = r.x + TILE * t + i < s->W;
                const size_t at = (size_t)(TILE * t + i) * C + group;
                const __m512i a = _mm512_loadu_si512(inside ? row + at : zeros), b = _mm512_loadu_si512(inside && below != NULL ? below + at : zeros);
                column_gradient(low[i], (__m512)_mm512_slli_epi32(a, 16), (__m512)_mm512_slli_epi32(b, 16));
                column_gradient(high[i], (__m512)_mm512_and_si512(a, odd), (__m512)_mm512_and_si512(b, odd));
            }
            uint16_t *to = z + (size_t)t * C + group;
#pragma GCC unroll 4
            for (int i = 0; i < SEEN; i++, to += SEEN * apart) {
                __m512 l[SEEN], h[SEEN];
                column_gradient(l, low[0][i], low[1][i]);
                column_gradient(h, high[0][i], high[1][i]);
#pragma GCC unroll 4
                for (int j = 0; j < SEEN; j++)
                    store_position(to + (size_t)j * apart, l[j], h[j]);
            }
        }
}

/* The words of the tiles [first, first + ROWS) of a piece, or as many as there are: of x [C], or of dy [K] in strips. */
TW_AVX512 static void make_words(const piece *p, const convolution *c, uint16_t *room, int first, bool gradient)
{
    const int tiles = (int)tw_min(ROWS, p->tiles - first), groups = c->C / GROUP;
    const size_t C = (size_t)c->C, apart = ROWS * C;
    run r;
    for (int t = 0; t < tiles; t += r.count) {
        r = run_at(c->w, p->first + first + t, tiles - t);
        (gradient ? spread_gradient : spread_run)(room + (size_t)t * C, apart, c, r);
    }
    for (size_t position = 0; position < POSITIONS; position++)
        for (int group = 0; group < groups; group++)
            for (int t = 0; t < tiles; t += 2) {
                const uint16_t *row = room + position * apart + (size_t)t * C + (size_t)group * GROUP;
                __m512i low, high;
                tw_words(&low, &high, _mm512_load_si512(row), t + 1 < tiles ? _mm512_load_si512(row + C) : _mm512_setzero_si512());
                const size_t step = (size_t)(first + t) / 2, panel = position * (size_t)groups + (size_t)group, steps = (size_t)p->steps;
                if (gradient) {
                    uint32_t *to = p->z + (panel * (GROUP / STRIP) * steps + step) * STRIP;
                    _mm256_store_si256((__m256i *)to, _mm512_castsi512_si256(low));
                    _mm256_store_si256((__m256i *)(to + steps * STRIP), _mm512_extracti64x4_epi64(low, 1));
                    _mm256_store_si256((__m256i *)(to + 2 * steps * STRIP), _mm512_castsi512_si256(high));
                    _mm256_store_si256((__m256i *)(to + 3 * steps * STRIP), _mm512_extracti64x4_epi64(high, 1));
                } else {
                    uint32_t *to = p->v + (panel * steps + step) * GROUP;
                    _mm512_store_si512(to, low);
                    _mm512_store_si512(to + 16, high);
                }
            }
}

/* G^T du G of 16 channels, du [16, STRIP, 32]. */
TW_AVX512_KERNEL void gather_taps(__m512 taps[9], const float *du)
{
    const __m512 half = _mm512_set1_ps(0.5f);
    __m512 rows[3][SEEN];
#pragma GCC unroll 4
    for (int j = 0; j < SEEN; j++) {
        __m512 u[SEEN];
#pragma GCC unroll 4
        for (int i = 0; i < SEEN; i++)
            u[i] = _mm512_load_ps(du + (SEEN * i + j) * STRIP * GROUP);
        const __m512 even = _mm512_mul_ps(_mm512_add_ps(u[1], u[2]), half);
        rows[0][j] = _mm512_add_ps(u[0], even);
        rows[1][j] = _mm512_mul_ps(_mm512_sub_ps(u[1], u[2]), half);
        rows[2][j] = _mm512_add_ps(even, u[3]);
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        const __m512 even = _mm512_mul_ps(_mm512_add_ps(rows[i][1], rows[i][2]), half);
        taps[3 * i] = _mm512_add_ps(rows[i][0], even);
        taps[3 * i + 1] = _mm512_mul_ps(_mm512_sub_ps(rows[i][1], rows[i][2]), half);
        taps[3 * i + 2] = _mm512_add_ps(even, rows[i][3]);
    }
}

/* A piece's part of a strip of the gradient [K,9,C] in 32 input channels. */
TW_AVX512 static void add_tile(float *gradient, const tw_conv_shape *s, const piece *p, int strip, int panel)
{
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const size_t steps = (size_t)p->steps;
    _Alignas(64) float du[POSITIONS * STRIP * GROUP] = {0};
    for (int i = 0; i < POSITIONS; i++)
        tw_outer_tile(du + i * STRIP * GROUP, GROUP, p->z + (size_t)(i * (s->K / STRIP) + strip) * steps * STRIP,
                      p->v + (size_t)(i * (s->C / GROUP) + panel) * steps * GROUP, p->steps);
    for (int i = 0; i < STRIP; i++) {
        const int in = strip * STRIP + i, k = in / GROUP * GROUP + channel_at(in % GROUP);
        float *to = gradient + (size_t)k * 9 * (size_t)s->C + (size_t)panel * GROUP;
        __m512 even[9], odd[9];
        gather_taps(even, du + i * GROUP);
        gather_taps(odd, du + i * GROUP + 16);
        for (int tap = 0; tap < 9; tap++, to += s->C) {
            const __m512 low = _mm512_permutex2var_ps(even[tap], order, odd[tap]);
            const __m512 high = _mm512_permutex2var_ps(even[tap], _mm512_add_epi32(order, _mm512_set1_epi32(8)), odd[tap]);
            _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), low));
            _mm512_storeu_ps(to + 16, _mm512_add_ps(_mm512_loadu_ps(to + 16), high));
        }
    }
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    const winograd16 *w = way;
    const tw_conv_shape *s = &w->shape;
    const convolution of_x = {.w = w, .x = x, .C = s->C}, of_dy = {.w = w, .x = dy, .C = s->K};
    const int64_t tiles = (int64_t)s->N * w->down * w->across;
    const int strips = s->K / STRIP, panels = s->C / GROUP;
    char *room = pieces_room(w);
    float *gradient = gradient_room(w);
    if (room == NULL || gradient == NULL)
        return -1;
    memset(gradient, 0, gradient_bytes(s));
    for (int64_t first = 0; first < tiles; first += 2 * w->steps) {
        piece p = {.first = first, .tiles = (int)tw_min(2 * w->steps, tiles - first), .v = (uint32_t *)room};
        p.steps = (p.tiles + 1) / 2;
        p.z = p.v + POSITIONS * (size_t)p.steps * (size_t)s->C;
#pragma omp parallel
        {
            char *own = room + (size_t)w->steps * step_bytes(s) + (size_t)omp_get_thread_num() * words_room_bytes(s);
#pragma omp for schedule(static)
            for (int i = 0; i < 2 * (int)tw_pieces(p.tiles, ROWS); i++)
                make_words(&p, i % 2 == 0 ? &of_x : &of_dy, (uint16_t *)own, i / 2 * ROWS, i % 2 != 0);
#pragma omp for schedule(static)
            for (int i = 0; i < strips * panels; i++)
                add_tile(gradient, s, &p, i % strips, i / strips);
        }
    }
    tw_columns_add(dw, gradient, s);
    return 0;
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
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    (void)d, (void)s;
    return false;
}

const tw_conv_way tw_conv_winograd16 = {.suits = suits};
#endif
