/* The weight gradient: G^T (sum over the tiles of V Z^T) G with V = B^T x B and Z = A dy A^T, both rounded to bf16. A step is two tiles, as the
 * instructions multiply them. Steps are taken in pieces whose words stay in the cache; pieces form slices, their number fixed by the shape,
 * whose sums are added in order. Each thread packs the words that it multiplies, as reading what another core has just written is slow. If
 * the slices do not divide evenly among the threads, each slice's channels are divided too. */
#include "cpu/winograd16.h"

#include "cpu/outer.h"
#include "cpu/slices.h"

#if defined(__x86_64__)
#include <omp.h>
#include <string.h>

enum { STRIP = 8 /* output channels of a product */, STEPS = 128, APART = 16 /* padding between panels, in words */, SLICES_BYTES = 9 << 19 };

/* The division of the work: slices of `steps` steps each (the last one has the rest), in pieces of `piece` steps; panels of 32 inputs and groups
 * of 32 outputs, both divided into parts. */
typedef struct {
    int slices, steps, piece;
    int panel_parts, group_parts;
} division;

/* A thread's work: a piece, in some of the panels and groups. */
typedef struct {
    int panel, panels, group, groups;
    int64_t first;   /* first tile of the piece */
    int tiles, steps;
    uint16_t *spread; /* [16, ROWS, 32] of V or Z */
    uint32_t *v, *z;  /* [16, panels, steps, 32] and [16, 4 groups, steps, 8] words of two tiles each, channels in the order of V's */
} piece;

/* Stride between panels of V and of Z, in words: padded, so that they do not all begin in the same set of the L1 cache. */
static size_t v_panel(int steps)
{
    return (size_t)steps * GROUP + APART;
}

static size_t z_panel(int steps)
{
    return (size_t)steps * STRIP + APART;
}

static size_t v_words(int panels, int steps)
{
    return POSITIONS * (size_t)panels * v_panel(steps);
}

static size_t z_words(int groups, int steps)
{
    return POSITIONS * (size_t)groups * (GROUP / STRIP) * z_panel(steps);
}

static size_t slice_bytes(const tw_conv_shape *s)
{
    return 9 * (size_t)s->K * (size_t)s->C * sizeof(float);
}

/* Divides a slice into parts for that many threads, such that the largest part has the least to pack and multiply. */
static void divide(division *d, const tw_conv_shape *s, int threads)
{
    int64_t least = INT64_MAX;
    for (int parts = 1; parts <= threads; parts++) {
        const int64_t panels = tw_pieces(s->C / GROUP, parts), groups = tw_pieces(s->K / GROUP, threads / parts);
        const int64_t cost = panels * groups + panels + groups;
        if (cost >= least)
            continue;
        least = cost;
        d->panel_parts = (int)tw_pieces(s->C / GROUP, panels);
        d->group_parts = (int)tw_pieces(s->K / GROUP, groups);
    }
}

static division division_of(const tw_winograd16 *w)
{
    const tw_conv_shape *s = &w->shape;
    const int64_t steps = tw_pieces((int64_t)s->N * w->down * w->across, 2);
    division d = {.slices = tw_slices_count(slice_bytes(s), SLICES_BYTES, steps, STEPS)};
    d.steps = (int)tw_pieces(tw_pieces(steps, d.slices), ROWS / 2) * (ROWS / 2);
    d.slices = (int)tw_pieces(steps, d.steps);
    d.piece = (int)tw_pieces(tw_pieces(d.steps, tw_pieces(d.steps, STEPS)), ROWS / 2) * (ROWS / 2);
    divide(&d, s, tw_slices_parts(d.slices, w->dev->threads));
    return d;
}

/* Words of scratch memory per thread. */
static size_t own_words(const tw_conv_shape *s, const division *d)
{
    const int panels = (int)tw_pieces(s->C / GROUP, d->panel_parts), groups = (int)tw_pieces(s->K / GROUP, d->group_parts);
    return v_words(panels, d->piece) + z_words(groups, d->piece) + POSITIONS * ROWS * GROUP / 2;
}

static uint32_t *words_room(const tw_winograd16 *w, const division *d)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS, (size_t)w->dev->threads * own_words(&w->shape, d) * sizeof(uint32_t));
}

static float *slices_room(const tw_winograd16 *w, const division *d)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_GRADIENT, (size_t)d->slices * slice_bytes(&w->shape));
}

/* A applied to a column: two pixels to four positions. */
TW_AVX512_KERNEL void column_gradient(__m512 y[SEEN], __m512 top, __m512 bottom)
{
    y[0] = top;
    y[1] = _mm512_add_ps(top, bottom);
    y[2] = _mm512_sub_ps(top, bottom);
    y[3] = _mm512_sub_ps(_mm512_setzero_ps(), bottom);
}

/* Z of a run of tiles, as tw_wino16_spread. */
TW_AVX512 static void spread_gradient(uint16_t *z, size_t each, size_t apart, const tw_wino16_pass *c, tw_wino16_run r, int group)
{
    const tw_conv_shape *s = &c->w->shape;
    const size_t C = (size_t)c->C;
    const uint16_t *row = c->x + tw_wino16_pixel(c, r.n, r.y, r.x, c->C) + group, *below = r.y + 1 < s->H ? row + (size_t)s->W * C : NULL;
    const __m512i odd = _mm512_set1_epi32((int)0xffff0000);
    for (int t = 0; t < r.count; t++) {
        __m512 low[TILE][SEEN], high[TILE][SEEN]; /* [column, position] */
#pragma GCC unroll 2
        for (int i = 0; i < TILE; i++) {
            const bool inside = r.x + TILE * t + i < s->W;
            const size_t at = (size_t)(TILE * t + i) * C;
            const __m512i a = _mm512_loadu_si512(inside ? row + at : tw_wino16_zeros);
            const __m512i b = _mm512_loadu_si512(inside && below != NULL ? below + at : tw_wino16_zeros);
            column_gradient(low[i], (__m512)_mm512_slli_epi32(a, 16), (__m512)_mm512_slli_epi32(b, 16));
            column_gradient(high[i], (__m512)_mm512_and_si512(a, odd), (__m512)_mm512_and_si512(b, odd));
        }
        uint16_t *to = z + (size_t)t * each;
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

/* V or Z of tiles first .. first + ROWS - 1 of a piece (or as many as there are) in 32 channels; an odd number is padded by a tile of zeros. */
static void spread(const piece *p, const tw_wino16_pass *c, int first, int tiles, int group, bool gradient)
{
    tw_wino16_run r;
    for (int t = 0; t < tiles; t += r.count) {
        r = tw_wino16_run_at(c->w, p->first + first + t, tiles - t);
        (gradient ? spread_gradient : tw_wino16_spread)(p->spread + t * GROUP, GROUP, ROWS * GROUP, c, r, group);
    }
    for (int i = 0; i < POSITIONS && tiles % 2 != 0; i++)
        memset(p->spread + (i * ROWS + tiles) * GROUP, 0, GROUP * sizeof(uint16_t));
}

/* Stores the words of two tiles in 32 channels: of x in a panel, of dy in strips. */
TW_AVX512_KERNEL void keep_words(const piece *p, int position, int group, int step, __m512i low, __m512i high, bool gradient)
{
    if (!gradient) {
        uint32_t *to = p->v + (size_t)(position * p->panels + group) * v_panel(p->steps) + (size_t)step * GROUP;
        _mm512_store_si512(to, low);
        _mm512_store_si512(to + 16, high);
        return;
    }
    const size_t apart = z_panel(p->steps);
    uint32_t *to = p->z + (size_t)(position * p->groups + group) * (GROUP / STRIP) * apart + (size_t)step * STRIP;
    _mm256_store_si256((__m256i *)to, _mm512_castsi512_si256(low));
    _mm256_store_si256((__m256i *)(to + apart), _mm512_extracti64x4_epi64(low, 1));
    _mm256_store_si256((__m256i *)(to + 2 * apart), _mm512_castsi512_si256(high));
    _mm256_store_si256((__m256i *)(to + 3 * apart), _mm512_extracti64x4_epi64(high, 1));
}

/* Packs the words of a panel of x, or of a group of dy (gradient); group: its number within the thread's part. */
TW_AVX512 static void make_words(const piece *p, const tw_wino16_pass *c, int group, bool gradient)
{
    for (int first = 0, tiles; first < p->tiles; first += tiles) {
        tiles = (int)tw_min(ROWS, p->tiles - first);
        spread(p, c, first, tiles, ((gradient ? p->group : p->panel) + group) * GROUP, gradient);
        for (int i = 0; i < POSITIONS; i++)
            for (int t = 0; t < tiles; t += 2) {
                const uint16_t *row = p->spread + (i * ROWS + t) * GROUP;
                __m512i low, high;
                tw_words(&low, &high, _mm512_load_si512(row), _mm512_load_si512(row + GROUP));
                keep_words(p, i, group, (first + t) / 2, low, high, gradient);
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

/* dw [16,9] = or += the taps of the channels that `order` picks from the even and the odd ones. */
TW_AVX512_KERNEL void add_taps(float *dw, const __m512 even[9], const __m512 odd[9], __m512i order, bool add)
{
    const __mmask16 nine = 0x1ff;
    __m512i m[16] = {0};
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; tap++)
        m[tap] = (__m512i)_mm512_permutex2var_ps(even[tap], order, odd[tap]);
    tw_transpose16(m);
#pragma GCC unroll 16
    for (int c = 0; c < 16 && add; c++) /* all loads before the first store, which would delay loads from nearby addresses */
        m[c] = (__m512i)_mm512_add_ps(_mm512_maskz_loadu_ps(nine, dw + 9 * c), (__m512)m[c]);
#pragma GCC unroll 16
    for (int c = 0; c < 16; c++)
        _mm512_mask_storeu_ps(dw + 9 * c, nine, (__m512)m[c]);
}

/* dw [K,C,9] = or += a piece's product, in one strip of outputs and 32 input channels. */
TW_AVX512 static void add_tile(float *dw, const tw_conv_shape *s, const piece *p, int strip, int panel, bool add)
{
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    _Alignas(64) float du[POSITIONS * STRIP * GROUP] = {0};
    float *to[STRIP];
    for (int i = 0; i < STRIP; i++) {
        const int in = strip * STRIP + i, k = (p->group + in / GROUP) * GROUP + tw_wino16_channel(in % GROUP);
        to[i] = dw + ((size_t)k * (size_t)s->C + (size_t)(p->panel + panel) * GROUP) * 9;
        for (int j = 0; j < 9 * GROUP; j += 16)
            __builtin_prefetch(to[i] + j, 1);
    }
    for (int i = 0; i < POSITIONS; i++)
        tw_outer_tile(du + i * STRIP * GROUP, GROUP, p->z + (size_t)(i * p->groups * (GROUP / STRIP) + strip) * z_panel(p->steps),
                      p->v + (size_t)(i * p->panels + panel) * v_panel(p->steps), p->steps);
    for (int i = 0; i < STRIP; i++) {
        __m512 even[9], odd[9];
        gather_taps(even, du + i * GROUP);
        gather_taps(odd, du + i * GROUP + 16);
        add_taps(to[i], even, odd, order, add);
        add_taps(to[i] + 16 * 9, even, odd, _mm512_add_epi32(order, _mm512_set1_epi32(8)), add);
    }
}

int tw_wino16_gradient_reserve(const tw_winograd16 *w)
{
    const division d = division_of(w);
    return words_room(w, &d) != NULL && (d.slices == 1 || slices_room(w, &d) != NULL) ? 0 : -1;
}

/* Part `at` of n things divided into `parts`. */
static void part_of(int *first, int *count, int n, int at, int parts)
{
    *first = n * at / parts;
    *count = n * (at + 1) / parts - *first;
}

/* dw = a slice's sum in a part of the channels; += if it is the only slice. */
static void add_slice(float *dw, const tw_winograd16 *w, const division *d, int slice, int part, uint32_t *room, const void *x, const void *dy)
{
    const tw_conv_shape *s = &w->shape;
    const tw_wino16_pass of_x = {.w = w, .x = x, .C = s->C}, of_dy = {.w = w, .x = dy, .C = s->K};
    const int64_t begin = 2 * (int64_t)slice * d->steps, tiles = (int64_t)s->N * w->down * w->across, end = tw_min(begin + 2 * d->steps, tiles);
    piece p = {0};
    part_of(&p.panel, &p.panels, s->C / GROUP, part % d->panel_parts, d->panel_parts);
    part_of(&p.group, &p.groups, s->K / GROUP, part / d->panel_parts, d->group_parts);
    p.v = room;
    p.z = p.v + v_words(p.panels, d->piece);
    p.spread = (uint16_t *)(p.z + z_words(p.groups, d->piece));
    for (p.first = begin; p.first < end; p.first += 2 * d->piece) {
        p.tiles = (int)tw_min(2 * d->piece, end - p.first);
        p.steps = (p.tiles + 1) / 2;
        for (int i = 0; i < p.panels; i++)
            make_words(&p, &of_x, i, false);
        for (int i = 0; i < p.groups; i++)
            make_words(&p, &of_dy, i, true);
        for (int panel = 0; panel < p.panels; panel++)
            for (int strip = 0; strip < p.groups * (GROUP / STRIP); strip++)
                add_tile(dw, s, &p, strip, panel, d->slices == 1 || p.first > begin);
    }
}

int tw_wino16_gradient(const tw_winograd16 *w, float *dw, const void *x, const void *dy)
{
    const division d = division_of(w);
    const size_t n = slice_bytes(&w->shape) / sizeof *dw;
    const int parts = d.panel_parts * d.group_parts;
    uint32_t *room = words_room(w, &d);
    float *slices = d.slices > 1 ? slices_room(w, &d) : dw;
    if (room == NULL || slices == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < d.slices * parts; i++)
        add_slice(slices + (size_t)(i / parts) * n, w, &d, i / parts, i % parts,
                  room + (size_t)omp_get_thread_num() * own_words(&w->shape, &d), x, dy);
    if (d.slices > 1)
        tw_slices_add(dw, slices, d.slices, n, n);
    return 0;
}
#endif
