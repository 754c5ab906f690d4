/* The gradient of the weights: G^T (sum over the tiles of V Z^T) G with V = B^T x B and Z = A dy A^T, both rounded to bf16. Tiles are taken by
 * twos, steps, as the instructions multiply them, and in pieces that stay in the third cache. */
#include "cpu/winograd16.h"

#include "cpu/columns.h"
#include "cpu/outer.h"

#if defined(__x86_64__)
#include <omp.h>

enum { STRIP = 8 /* outputs' channels of a product */, STEPS = 256, PIECE_BYTES = 8 << 20, APART = 16 /* words between panels */ };

typedef struct {
    int64_t first;   /* tile */
    int tiles, steps;
    uint32_t *v, *z; /* [16, C/32, steps, 32] and [16, K/8, steps, 8] words of two tiles each, channels in the order of V's */
} piece;

/* Words from panel to panel of V and of Z, so that not all begin in the same set of the first cache. */
static size_t v_panel(int steps)
{
    return (size_t)steps * GROUP + APART;
}

static size_t z_panel(int steps)
{
    return (size_t)steps * STRIP + APART;
}

static size_t v_words(const tw_conv_shape *s, int steps)
{
    return POSITIONS * (size_t)(s->C / GROUP) * v_panel(steps);
}

static size_t z_words(const tw_conv_shape *s, int steps)
{
    return POSITIONS * (size_t)(s->K / STRIP) * z_panel(steps);
}

/* Steps of a piece. */
static int most_steps(const tw_conv_shape *s)
{
    const int64_t step = POSITIONS * (int64_t)(s->C + s->K) * (int64_t)sizeof(uint32_t);
    return (int)tw_min(STEPS, tw_pieces(PIECE_BYTES, step * ROWS) * ROWS);
}

/* Of a thread that makes words: V of ROWS tiles. */
static size_t own_bytes(const tw_conv_shape *s)
{
    return POSITIONS * ROWS * (size_t)(s->C > s->K ? s->C : s->K) * sizeof(uint16_t);
}

static uint32_t *piece_room(const tw_winograd16 *w)
{
    const tw_conv_shape *s = &w->shape;
    const int steps = most_steps(s);
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS,
                          (v_words(s, steps) + z_words(s, steps)) * sizeof(uint32_t) + (size_t)w->dev->threads * own_bytes(s));
}

static size_t gradient_bytes(const tw_conv_shape *s)
{
    return 9 * (size_t)s->K * (size_t)s->C * sizeof(float);
}

static float *gradient_room(const tw_winograd16 *w)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_GRADIENT, gradient_bytes(&w->shape));
}

/* A over the pixels of a column: two to four. */
TW_AVX512_KERNEL void column_gradient(__m512 y[SEEN], __m512 top, __m512 bottom)
{
    y[0] = top;
    y[1] = _mm512_add_ps(top, bottom);
    y[2] = _mm512_sub_ps(top, bottom);
    y[3] = _mm512_sub_ps(_mm512_setzero_ps(), bottom);
}

/* Z of a run of tiles, as tw_wino16_spread. */
TW_AVX512 static void spread_gradient(uint16_t *z, size_t apart, const tw_wino16_pass *c, tw_wino16_run r)
{
    const tw_conv_shape *s = &c->w->shape;
    const size_t C = (size_t)c->C;
    const uint16_t *row = c->x + tw_wino16_pixel(c, r.n, r.y, r.x, c->C), *below = r.y + 1 < s->H ? row + (size_t)s->W * C : NULL;
    const __m512i odd = _mm512_set1_epi32((int)0xffff0000);
    for (size_t group = 0; group < C; group += GROUP)
        for (int t = 0; t < r.count; t++) {
            __m512 low[TILE][SEEN], high[TILE][SEEN]; /* [column, position] */
#pragma GCC unroll 2
            for (int i = 0; i < TILE; i++) {
                const bool inside = r.x + TILE * t + i < s->W;
                const size_t at = (size_t)(TILE * t + i) * C + group;
                const __m512i a = _mm512_loadu_si512(inside ? row + at : tw_wino16_zeros);
                const __m512i b = _mm512_loadu_si512(inside && below != NULL ? below + at : tw_wino16_zeros);
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
                    tw_wino16_store(to + (size_t)j * apart, l[j], h[j]);
            }
        }
}

/* The words of the tiles [first, first + ROWS) of a piece, or as many as there are: of x [C], or of dy [K] in strips. */
TW_AVX512 static void make_words(const piece *p, const tw_wino16_pass *c, uint16_t *room, int first, bool gradient)
{
    const int tiles = (int)tw_min(ROWS, p->tiles - first), groups = c->C / GROUP;
    const size_t C = (size_t)c->C, apart = ROWS * C;
    tw_wino16_run r;
    for (int t = 0; t < tiles; t += r.count) {
        r = tw_wino16_run_at(c->w, p->first + first + t, tiles - t);
        (gradient ? spread_gradient : tw_wino16_spread)(room + (size_t)t * C, apart, c, r);
    }
    for (size_t position = 0; position < POSITIONS; position++)
        for (int group = 0; group < groups; group++)
            for (int t = 0; t < tiles; t += 2) {
                const uint16_t *row = room + position * apart + (size_t)t * C + (size_t)group * GROUP;
                __m512i low, high;
                tw_words(&low, &high, _mm512_load_si512(row), t + 1 < tiles ? _mm512_load_si512(row + C) : _mm512_setzero_si512());
                const size_t step = (size_t)(first + t) / 2, panel = position * (size_t)groups + (size_t)group;
                if (gradient) {
                    const size_t apart_z = z_panel(p->steps);
                    uint32_t *to = p->z + panel * (GROUP / STRIP) * apart_z + step * STRIP;
                    _mm256_store_si256((__m256i *)to, _mm512_castsi512_si256(low));
                    _mm256_store_si256((__m256i *)(to + apart_z), _mm512_extracti64x4_epi64(low, 1));
                    _mm256_store_si256((__m256i *)(to + 2 * apart_z), _mm512_castsi512_si256(high));
                    _mm256_store_si256((__m256i *)(to + 3 * apart_z), _mm512_extracti64x4_epi64(high, 1));
                } else {
                    uint32_t *to = p->v + panel * v_panel(p->steps) + step * GROUP;
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

/* A piece's part of a strip of the gradient [K,9,C] in 32 input channels, added to that of the pieces before it. */
TW_AVX512 static void add_tile(float *gradient, const tw_conv_shape *s, const piece *p, int strip, int panel)
{
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    _Alignas(64) float du[POSITIONS * STRIP * GROUP] = {0};
    for (int i = 0; i < POSITIONS; i++)
        tw_outer_tile(du + i * STRIP * GROUP, GROUP, p->z + (size_t)(i * (s->K / STRIP) + strip) * z_panel(p->steps),
                      p->v + (size_t)(i * (s->C / GROUP) + panel) * v_panel(p->steps), p->steps);
    for (int i = 0; i < STRIP; i++) {
        const int in = strip * STRIP + i, k = in / GROUP * GROUP + tw_wino16_channel(in % GROUP);
        float *to = gradient + (size_t)k * 9 * (size_t)s->C + (size_t)panel * GROUP;
        __m512 even[9], odd[9];
        gather_taps(even, du + i * GROUP);
        gather_taps(odd, du + i * GROUP + 16);
        for (int tap = 0; tap < 9; tap++, to += s->C) {
            const __m512 low = _mm512_permutex2var_ps(even[tap], order, odd[tap]);
            const __m512 high = _mm512_permutex2var_ps(even[tap], _mm512_add_epi32(order, _mm512_set1_epi32(8)), odd[tap]);
            _mm512_storeu_ps(to, p->first == 0 ? low : _mm512_add_ps(_mm512_loadu_ps(to), low));
            _mm512_storeu_ps(to + 16, p->first == 0 ? high : _mm512_add_ps(_mm512_loadu_ps(to + 16), high));
        }
    }
}

int tw_wino16_gradient_reserve(const tw_winograd16 *w)
{
    return piece_room(w) != NULL && gradient_room(w) != NULL ? 0 : -1;
}

int tw_wino16_gradient(const tw_winograd16 *w, float *dw, const void *x, const void *dy)
{
    const tw_conv_shape *s = &w->shape;
    const tw_wino16_pass of_x = {.w = w, .x = x, .C = s->C}, of_dy = {.w = w, .x = dy, .C = s->K};
    const int64_t tiles = (int64_t)s->N * w->down * w->across;
    const int strips = s->K / STRIP, panels = s->C / GROUP, most = most_steps(s);
    uint32_t *room = piece_room(w);
    float *gradient = gradient_room(w);
    if (room == NULL || gradient == NULL)
        return -1;
    for (int64_t first = 0; first < tiles; first += 2 * most) {
        piece p = {.first = first, .tiles = (int)tw_min(2 * most, tiles - first), .v = room, .z = room + v_words(s, most)};
        p.steps = (p.tiles + 1) / 2;
#pragma omp parallel
        {
            char *own = (char *)(p.z + z_words(s, most)) + (size_t)omp_get_thread_num() * own_bytes(s);
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
#endif
