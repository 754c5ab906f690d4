#include "cpu/rows16.h"

#include "cpu/norm.h"
#include "cpu/product16.h"
#include "cpu/vec.h"

#include <string.h>

#if defined(__x86_64__)
#include <omp.h>

/* BLOCK: rows whose x stays in the L1 cache (with few channels) while all panels are multiplied; DEEP_BLOCK: with more than DEEP channels;
 * AFTER_BYTES: prefetched of the next block, at most. */
enum { PANEL = TW_PANEL, ROWS = TW_PANEL_ROWS, BLOCK = 8 * ROWS, DEEP_BLOCK = 2 * ROWS, DEEP = 4096 /* channels */,
       AFTER_BYTES = 384 << 10 };

/* The picture of a matrix row, and the pixel in it. */
typedef struct {
    int64_t n;
    int y, x;
} place;

static inline place place_of(const tw_grid16 *g, int64_t i)
{
    const int64_t each = (int64_t)g->down * g->across, in = i % each;
    return (place){i / each, (int)(in / g->across) * g->step, (int)(in % g->across) * g->step};
}

static inline int64_t pixel_of(const tw_grid16 *g, int64_t i)
{
    const place p = place_of(g, i);
    return (p.n * g->H + p.y + g->y[0]) * g->W + p.x + g->x[0];
}

/* Stores rows skip .. rows - 1 of 32 products to y, and adds to the sums s [2,32]. */
TW_AVX512_KERNEL void keep_sums(const tw_rows16 *p, const size_t *at, double *s, __m512 sum[ROWS][2], int skip, int rows)
{
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
        tw_store16(p->y + at[i], sum[i][0], sum[i][1], NULL, false);
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m512 total = _mm512_setzero_ps(), square = _mm512_setzero_ps();
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            if (i < skip)
                continue;
            total = _mm512_add_ps(total, sum[i][j]);
            square = _mm512_fmadd_ps(sum[i][j], sum[i][j], square);
        }
        tw_add_f64(s + 16 * j, TW_ALL_LANES, total);
        tw_add_f64(s + PANEL + 16 * j, TW_ALL_LANES, square);
    }
}

/* The same for TW_ROWS_GRADIENT. mask, adds: p's, as compile-time constants where it matters. */
TW_AVX512_KERNEL void keep_gradient(const tw_rows16 *p, const size_t *at, double *s, __m512 sum[ROWS][2], int k, int skip, int rows,
                                    tw_norm_mask mask, bool adds)
{
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, with_x[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            const size_t to = at[i] + (size_t)(16 * j);
            if (i < skip)
                continue;
            const __m512 x = tw_get16(TW_ALL_LANES, p->norm_x + to);
            __m512 g = sum[i][j];
            if (adds)
                g = _mm512_add_ps(g, tw_get16(TW_ALL_LANES, p->y + to));
            if (mask == TW_NORM_BY_Y)
                g = _mm512_maskz_mov_ps(_mm256_cmpgt_epi16_mask(tw_load16(TW_ALL_LANES, p->norm_y + to), _mm256_setzero_si256()), g);
            if (mask == TW_NORM_BY_X)
                g = _mm512_maskz_mov_ps(tw_positive(TW_ALL_LANES, x, p->affine.scale + k + 16 * j, p->affine.shift + k + 16 * j), g);
            tw_put16(p->y + to, TW_ALL_LANES, g);
            total[i % 2] = _mm512_add_ps(total[i % 2], g);
            with_x[i % 2] = _mm512_fmadd_ps(g, x, with_x[i % 2]);
        }
        tw_add_f64(s + 16 * j, TW_ALL_LANES, _mm512_add_ps(total[0], total[1]));
        tw_add_f64(s + PANEL + 16 * j, TW_ALL_LANES, _mm512_add_ps(with_x[0], with_x[1]));
    }
}

/* Outputs k .. k + 31 of `rows` rows from `row` on; x: the first of these rows. s [2,32]: sums, without the first `skip` rows. t is a compile-time
 * constant. */
TW_AVX512_KERNEL void rows_any(const tw_rows16 *p, const uint16_t *x, int64_t row, int k, int rows, const tw_fetch16 *fetch, double *s, int skip,
                               tw_rows16_tail t, tw_norm_mask mask, bool adds)
{
    const bool gradient = t == TW_ROWS_GRADIENT, by_y = gradient && mask == TW_NORM_BY_Y;
    const size_t words = (size_t)p->C / 2;
    __m512 sum[ROWS][2], shift[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t at[ROWS];
    for (int i = 0; i < rows; i++) { /* prefetched during the product */
        at[i] = (size_t)(p->to != NULL ? pixel_of(p->to, row + i) : row + i) * (size_t)p->K + (size_t)k;
        __builtin_prefetch(p->y + at[i], 1);
        if (gradient)
            __builtin_prefetch(p->norm_x + at[i]);
        if (by_y)
            __builtin_prefetch(p->norm_y + at[i]);
        if (t == TW_ROWS_PLAIN && p->shortcut != NULL)
            __builtin_prefetch(p->shortcut + at[i]);
    }
    tw_product16(sum, (const uint32_t *)x, words, p->w + (size_t)k * words, words, rows, fetch);
    if (t == TW_ROWS_SUMS)
        keep_sums(p, at, s, sum, skip, rows);
    if (gradient)
        keep_gradient(p, at, s, sum, k, skip, rows, mask, adds);
    if (t != TW_ROWS_PLAIN)
        return;
    if (p->shift != NULL) {
        shift[0] = _mm512_loadu_ps(p->shift + k);
        shift[1] = _mm512_loadu_ps(p->shift + k + 16);
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
        tw_store16(p->y + at[i], _mm512_add_ps(sum[i][0], shift[0]), _mm512_add_ps(sum[i][1], shift[1]),
                   p->shortcut != NULL ? p->shortcut + at[i] : NULL, p->relu);
}

/* What to prefetch during product i of this block for the next one, which begins at row `end`: an equal share of its input (or what the prologue
 * makes it from) and, for a gradient, of the operands of its epilogue. */
TW_AVX512_KERNEL tw_fetch16 share_of_next(const tw_rows16 *p, const uint16_t *next, int64_t end, int64_t i, bool gradient, bool by_y)
{
    const size_t in = (size_t)end * (size_t)p->C, out = (size_t)end * (size_t)p->K;
    tw_fetch16 f = {{next, next, next}, {NULL}, tw_pieces(p->C / 2, p->K / PANEL), 0};
    if (p->input != NULL) {
        f.in[0] = p->input->x + in;
        f.in[1] = p->input->dy != NULL ? p->input->dy + in : p->input->shortcut != NULL ? p->input->shortcut + in : f.in[0];
        f.in[2] = p->input->to + in;
    }
    if (gradient && p->to == NULL && (size_t)p->K * BLOCK * sizeof *p->y * 3 <= AFTER_BYTES) {
        f.out_lines = ROWS;
        f.out[0] = p->y + out, f.out[1] = p->norm_x + out, f.out[2] = by_y ? p->norm_y + out : f.out[1];
    }
    if (p->from != NULL) { /* approximately: from the first pixel on, as many as the rows have */
        f.in[0] = f.in[1] = f.in[2] = p->x + (size_t)pixel_of(p->from, end) * (size_t)(p->C / p->from->taps);
        f.in_lines = tw_pieces(ROWS * p->from->step * p->from->step * (p->C / p->from->taps / 32), p->K / PANEL);
    }
    for (int j = 0; j < 3; j++) {
        f.in[j] += (size_t)i * f.in_lines * 32;
        f.out[j] += (size_t)i * f.out_lines * 32;
    }
    return f;
}

/* Rows row .. end - 1, at least ROWS / 2; x: the first of them. The last ones may be computed twice. */
TW_AVX512_KERNEL void multiply_any(const tw_rows16 *p, const uint16_t *x, int64_t row, int64_t end, int k, double *s, tw_rows16_tail t,
                                   tw_norm_mask mask, bool adds)
{
    const size_t C = (size_t)p->C;
    const uint16_t *const next = x + (size_t)(end - row) * C;
    int64_t i = k / PANEL * ((end - row) / ROWS);
    for (; row + ROWS <= end; row += ROWS, x += ROWS * C, i++) {
        const tw_fetch16 f = share_of_next(p, next, end, i, t == TW_ROWS_GRADIENT, mask == TW_NORM_BY_Y);
        rows_any(p, x, row, k, ROWS, &f, s, 0, t, mask, adds);
    }
    for (; row < end; row += ROWS / 2, x += ROWS / 2 * C) {
        const int64_t back = row + ROWS / 2 > end ? row + ROWS / 2 - end : 0;
        rows_any(p, x - (size_t)back * C, row - back, k, ROWS / 2, NULL, s, (int)back, t, mask, adds);
    }
}

TW_AVX512 static void multiply_plain(const tw_rows16 *p, const uint16_t *x, int64_t row, int64_t end, int k)
{
    multiply_any(p, x, row, end, k, NULL, TW_ROWS_PLAIN, TW_NORM_ALL, false);
}

TW_AVX512 static void multiply_sums(const tw_rows16 *p, const uint16_t *x, int64_t row, int64_t end, int k, double *s)
{
    multiply_any(p, x, row, end, k, s, TW_ROWS_SUMS, TW_NORM_ALL, false);
}

TW_AVX512 static void multiply_gradient(const tw_rows16 *p, const uint16_t *x, int64_t row, int64_t end, int k, double *s)
{
    if (p->mask == TW_NORM_BY_X && !p->adds)
        multiply_any(p, x, row, end, k, s, TW_ROWS_GRADIENT, TW_NORM_BY_X, false);
    else if (p->mask == TW_NORM_BY_Y && p->adds)
        multiply_any(p, x, row, end, k, s, TW_ROWS_GRADIENT, TW_NORM_BY_Y, true);
    else
        multiply_any(p, x, row, end, k, s, TW_ROWS_GRADIENT, p->mask, p->adds);
}

static void multiply_rows(const tw_rows16 *p, const uint16_t *x, int64_t row, int64_t end, int k, int64_t block)
{
    double s[2 * PANEL] = {0};
    if (p->tail == TW_ROWS_PLAIN) {
        multiply_plain(p, x, row, end, k);
        return;
    }
    (p->tail == TW_ROWS_SUMS ? multiply_sums : multiply_gradient)(p, x, row, end, k, s);
    double *to = p->partial + block * 2 * p->K + k;
    memcpy(to, s, PANEL * sizeof *s);
    memcpy(to + p->K, s + PANEL, PANEL * sizeof *s);
}

/* Copies a pixel's channels; NULL: zeros. */
TW_AVX512_KERNEL void copy_pixel(uint16_t *to, const uint16_t *pixel, size_t C)
{
    for (size_t c = 0; c < C; c += 32)
        _mm512_storeu_si512(to + c, pixel != NULL ? _mm512_loadu_si512(pixel + c) : _mm512_setzero_si512());
}

/* Gathers rows of x from the pixels under their taps (im2col). */
TW_AVX512 static void bring_together(uint16_t *to, const tw_rows16 *p, int64_t row, int64_t end)
{
    const tw_grid16 *g = p->from;
    const size_t C = (size_t)(p->C / g->taps);
    for (; row < end; row++) {
        const place at = place_of(g, row);
        for (int t = 0; t < g->taps; t++, to += C) {
            const int y = at.y + g->y[t], x = at.x + g->x[t];
            const bool inside = y >= 0 && y < g->H && x >= 0 && x < g->W;
            copy_pixel(to, inside ? p->x + (size_t)((at.n * g->H + y) * g->W + x) * C : NULL, C);
        }
    }
}

void tw_rows16_for_maker(tw_rows16 *p, const tw_conv_norms *n, tw_norm_affine affine, double *partial)
{
    p->tail = TW_ROWS_GRADIENT, p->adds = n->adds, p->mask = tw_norm_mask_of(n->maker), p->affine = affine;
    p->norm_x = n->maker_x, p->norm_y = n->maker_y, p->partial = partial;
}

/* Rows of a block; fewer if they are long (gathered from many pixels), so that they stay in the L2 cache. */
static int block_of(int C)
{
    return C > DEEP ? DEEP_BLOCK : BLOCK;
}

int64_t tw_rows16_blocks(int64_t rows, int C)
{
    return tw_pieces(rows, block_of(C));
}

size_t tw_rows16_held(int C)
{
    return (size_t)(block_of(C) + ROWS) * (size_t)C * sizeof(uint16_t);
}

/* The first row of block i. */
static int64_t begin_of(const tw_rows16 *p, int64_t i)
{
    const int64_t blocks = tw_rows16_blocks(p->rows, p->C);
    return i < blocks ? p->rows / (ROWS / 2) * i / blocks * (ROWS / 2) : p->rows;
}

/* Block by block: a thread runs the prologue for the block's input, then all panels. */
static void make_and_multiply(const tw_rows16 *p)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tw_rows16_blocks(p->rows, p->C); i++) {
        const int64_t first = begin_of(p, i), end = begin_of(p, i + 1);
        tw_norm16_make(p->input, first, end - first);
        for (int k = 0; k < p->K; k += PANEL)
            multiply_rows(p, p->x + (size_t)first * (size_t)p->C, first, end, k, i);
    }
}

void tw_rows16_multiply(const tw_rows16 *p, uint16_t *room)
{
    const int64_t panels = p->K / PANEL;
    if (p->input != NULL) {
        make_and_multiply(p);
        return;
    }
#pragma omp parallel
    {
        uint16_t *const own = room != NULL ? room + (size_t)omp_get_thread_num() * (tw_rows16_held(p->C) / sizeof *room) : NULL;
        int64_t held = -1;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tw_rows16_blocks(p->rows, p->C) * panels; i++) {
            const int64_t block = i / panels, first = begin_of(p, block), end = begin_of(p, block + 1);
            if (own != NULL && held != block)
                bring_together(own, p, first, end);
            held = block;
            multiply_rows(p, own != NULL ? own : p->x + (size_t)first * (size_t)p->C, first, end, (int)(i % panels) * PANEL, block);
        }
    }
}
#endif
