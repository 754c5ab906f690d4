#include "cpu/outer.h"

#include "cpu/vec.h"

/* Places are taken in pieces, columns of dw in blocks, so that what is packed of them stays in the second cache and a panel of x in
 * the first one. Packed are pairs of places, as the instruction multiplies them: [pair, column, 2]. */
enum { MR = 8, NR = 32, PIECE = 512, PART = 8 /* pairs packed by a thread at a time */, BLOCK = 18 /* panels of x */ };

bool tw_outer_suits(const tw_dev *d, const tw_conv_shape *s)
{
#if defined(__x86_64__)
    return d->precision == TW_BF16 && s->train && s->C % NR == 0 && s->K % NR == 0;
#else
    (void)d, (void)s;
    return false;
#endif
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TW_BF16_CODE __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

static size_t room_bytes(const tw_conv_shape *s)
{
    return (size_t)PIECE * (size_t)(BLOCK * NR + s->K) * sizeof(uint16_t);
}

int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s)
{
    return tw_dev_scratch(d, TW_SCRATCH_COLUMNS, room_bytes(s)) != NULL ? 0 : -1;
}

/* Memory that will be read next, fetched into the second cache meanwhile: `step` bytes with each pair. */
typedef struct {
    const char *at;
    size_t step;
} ahead;

/* dw [MR,NR], rows `stride` apart, += dy [pairs,MR,2] times x [pairs,NR,2]. All loops over the tile are unrolled, or the sums would live
 * in memory. */
TW_BF16_CODE static void tile(float *dw, size_t stride, const uint16_t *dy, const uint16_t *x, int pairs, ahead next)
{
    __m512 s[MR][2];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            s[i][j] = _mm512_loadu_ps(dw + (size_t)i * stride + 16 * j);
    for (int p = 0; p < pairs; p++, dy += 2 * MR, x += 2 * NR, next.at += next.step) {
        _mm_prefetch(next.at, _MM_HINT_T1);
        const __m512bh x0 = (__m512bh)_mm512_load_si512(x), x1 = (__m512bh)_mm512_load_si512(x + 32);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            int two;
            memcpy(&two, dy + 2 * i, sizeof two);
            const __m512bh g = (__m512bh)_mm512_set1_epi32(two);
            s[i][0] = _mm512_dpbf16_ps(s[i][0], g, x0);
            s[i][1] = _mm512_dpbf16_ps(s[i][1], g, x1);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(dw + (size_t)i * stride + 16 * j, s[i][j]);
}

/* 32 columns of two places side by side: *low has those of the first 16 columns. */
TW_BF16_CODE static inline __attribute__((always_inline)) void interleave(__m512i *low, __m512i *high, const uint16_t *a, const uint16_t *b)
{
    static const uint16_t first[32] = {0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i to_low = _mm512_loadu_si512(first), to_high = _mm512_add_epi16(to_low, _mm512_set1_epi16(16));
    const __m512i u = _mm512_loadu_si512(a), v = _mm512_loadu_si512(b);
    *low = _mm512_permutex2var_epi16(u, to_low, v);
    *high = _mm512_permutex2var_epi16(u, to_high, v);
}

static const uint16_t zeros[NR]; /* in the place of a pixel on padding, or a place behind the last one */

static inline const uint16_t *column(const uint16_t *row, int c)
{
    return row != NULL ? row + c : zeros;
}

/* What a piece is packed from, and its first place. */
typedef struct {
    const tw_conv_shape *shape;
    const uint16_t *x, *dy;
    int64_t first, places; /* places: of all pictures */
} source;

static inline const uint16_t *gradient_at(const source *f, int64_t i)
{
    return f->first + i < f->places ? f->dy + (size_t)(f->first + i) * (size_t)f->shape->K : NULL;
}

/* dy of the pairs [from, from + PART), two at a time so that whole cache lines are written, to panels of MR columns. */
TW_BF16_CODE static void pack_gradient(uint16_t *to, size_t panel, const source *f, int from)
{
    for (int p = from; p < from + PART; p += 2)
        for (int k = 0; k < f->shape->K; k += NR) {
            uint16_t *at = to + (size_t)(k / MR) * panel + (size_t)p * 2 * MR;
            __m512i a, b, c, d;
            interleave(&a, &b, column(gradient_at(f, 2 * p), k), column(gradient_at(f, 2 * p + 1), k));
            interleave(&c, &d, column(gradient_at(f, 2 * p + 2), k), column(gradient_at(f, 2 * p + 3), k));
            _mm512_store_si512(at, _mm512_shuffle_i64x2(a, c, 0x44));
            _mm512_store_si512(at + panel, _mm512_shuffle_i64x2(a, c, 0xee));
            _mm512_store_si512(at + 2 * panel, _mm512_shuffle_i64x2(b, d, 0x44));
            _mm512_store_si512(at + 3 * panel, _mm512_shuffle_i64x2(b, d, 0xee));
        }
}

/* The pixel under a tap of output place i; NULL: padding. */
static inline const uint16_t *pixel_at(const source *f, int64_t i, int tap)
{
    const tw_conv_shape *s = f->shape;
    if (f->first + i >= f->places)
        return NULL;
    const int place = (int)(f->first + i), n = place / (s->OH * s->OW), in = place % (s->OH * s->OW);
    const int h = in / s->OW * s->stride - s->pad + tap / s->size, w = in % s->OW * s->stride - s->pad + tap % s->size;
    if (h < 0 || h >= s->H || w < 0 || w >= s->W)
        return NULL;
    return f->x + (((size_t)n * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w) * (size_t)s->C;
}

/* The pixels of the pairs [from, from + PART) to the panels [first, first + panels) of all taps' channels. */
TW_BF16_CODE static void pack_pixels(uint16_t *to, size_t panel, const source *f, int first, int panels, int from)
{
    const int per_tap = f->shape->C / NR;
    for (int j = 0, n; j < panels; j += n) {
        const int tap = (first + j) / per_tap, c = (first + j) % per_tap;
        n = (int)tw_min(panels - j, per_tap - c);
        for (int p = from; p < from + PART; p++) {
            const uint16_t *a = pixel_at(f, 2 * p, tap), *b = pixel_at(f, 2 * p + 1, tap);
            uint16_t *at = to + (size_t)j * panel + (size_t)p * 2 * NR;
            for (int i = 0; i < n; i++, at += panel) {
                __m512i low, high;
                interleave(&low, &high, column(a, (c + i) * NR), column(b, (c + i) * NR));
                _mm512_store_si512(at, low);
                _mm512_store_si512(at + 32, high);
            }
        }
    }
}

/* Of the next piece's dy and x (nearly: from where its share of x begins), the part of tile i of n. */
static ahead next_part(const source *f, int i, int n, int pairs)
{
    const tw_conv_shape *s = f->shape;
    const int64_t first = f->first + PIECE < f->places ? f->first + PIECE : 0, share = tw_min(PIECE, f->places - first);
    const size_t dy = (size_t)s->K * sizeof(uint16_t), x = (size_t)(s->N * s->H * s->W) * (size_t)s->C * sizeof(uint16_t) / (size_t)f->places;
    const int of_dy = (int)((size_t)n * dy / (dy + x)); /* tiles that fetch dy; the others x */
    const bool fetches_dy = i < of_dy;
    const size_t bytes = (size_t)share * (fetches_dy ? dy : x), by = (size_t)(fetches_dy ? of_dy : n - of_dy) * (size_t)pairs;
    const size_t step = bytes / by < 64 ? bytes / by : 64;
    const char *from = fetches_dy ? (const char *)f->dy + (size_t)first * dy : (const char *)f->x + (size_t)first * x;
    return (ahead){from + (size_t)(fetches_dy ? i : i - of_dy) * (size_t)pairs * step, step};
}

/* One piece of places times the panels [first, first + panels). */
static void add_piece(const source *f, float *dw, uint16_t *room, int first, int panels)
{
    const tw_conv_shape *s = f->shape;
    const int parts = (int)((tw_min(PIECE, f->places - f->first) + 2 * PART - 1) / (2 * PART)), pairs = parts * PART, rows = s->K / MR;
    const size_t columns = (size_t)(s->size * s->size) * (size_t)s->C, x_panel = (size_t)pairs * 2 * NR, dy_panel = (size_t)pairs * 2 * MR;
    uint16_t *const dy = room + (size_t)panels * x_panel;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int i = 0; i < parts; i++) {
            pack_pixels(room, x_panel, f, first, panels, i * PART);
            pack_gradient(dy, dy_panel, f, i * PART);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < panels * rows; i++)
            tile(dw + (size_t)(i % rows * MR) * columns + (size_t)(first + i / rows) * NR, columns, dy + (size_t)(i % rows) * dy_panel,
                 room + (size_t)(i / rows) * x_panel, pairs, next_part(f, i, panels * rows, pairs));
    }
}

int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, const void *x, const void *dy)
{
    const int panels = s->size * s->size * (s->C / NR), blocks = (panels + BLOCK - 1) / BLOCK, each = (panels + blocks - 1) / blocks;
    source f = {s, x, dy, 0, (int64_t)s->N * s->OH * s->OW};
    uint16_t *room = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, room_bytes(s));
    if (room == NULL)
        return -1;
    for (int first = 0; first < panels; first += each)
        for (f.first = 0; f.first < f.places; f.first += PIECE)
            add_piece(&f, dw, room, first, (int)tw_min(each, panels - first));
    return 0;
}
#else
int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s)
{
    (void)d, (void)s;
    return 0;
}

int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, const void *x, const void *dy)
{
    (void)d, (void)s, (void)dw, (void)x, (void)dy;
    return -1;
}
#endif
