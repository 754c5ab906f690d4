/* 16 channels at a time, down the rows. Sums read four rows at once, more streams than the hardware prefetcher follows, so rows AHEAD are
 * prefetched. */
#include "cpu/norm_bf16.h"

#include "cpu/avx512.h"

#include <stddef.h>

enum { LANES = 16, FOUR = 4, AHEAD = 16 /* rows */ };

#if defined(__x86_64__)
/* Prefetches the cache line with these channels AHEAD rows later. */
TW_AVX512_KERNEL void fetch(const uint16_t *x, size_t C)
{
    _mm_prefetch((const char *)(x + AHEAD * C), _MM_HINT_T0);
}

/* 16 channels of `rows` rows: 4 or 1, a compile-time constant. */
TW_AVX512_KERNEL void sums_channels(double *s, double *q, const uint16_t *x, size_t C, int rows, __mmask16 lanes)
{
    __m512 sum = _mm512_setzero_ps(), square = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        fetch(x + (size_t)i * C, C);
        const __m512 v = tw_get16(lanes, x + (size_t)i * C);
        sum = _mm512_add_ps(sum, v);
        square = _mm512_fmadd_ps(v, v, square);
    }
    tw_add_f64(s, lanes, sum);
    tw_add_f64(q, lanes, square);
}

TW_AVX512_KERNEL void sums_rows(double *s, double *q, const uint16_t *x, const tw_norm_piece *p, int rows)
{
    int c = 0;
    for (; c + LANES <= p->n; c += LANES)
        sums_channels(s + c, q + c, x + c, (size_t)p->C, rows, TW_ALL_LANES);
    if (c < p->n)
        sums_channels(s + c, q + c, x + c, (size_t)p->C, rows, tw_first_lanes(p->n - c));
}

TW_AVX512 void tw_norm16_sums(double *s, double *q, const uint16_t *x, const tw_norm_piece *p)
{
    const size_t C = (size_t)p->C;
    x += (size_t)p->first * C + (size_t)p->c;
    int64_t r = 0;
    for (; r + FOUR <= p->rows; r += FOUR, x += FOUR * C)
        sums_rows(s, q, x, p, FOUR);
    for (; r < p->rows; r++, x += C)
        sums_rows(s, q, x, p, 1);
}

/* 16 channels of a row; add and relu are compile-time constants. */
TW_AVX512_KERNEL void apply_channels(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const float *scale, const float *shift, bool add,
                                     bool relu, __mmask16 lanes)
{
    __m512 v = _mm512_fmadd_ps(tw_get16(lanes, x), tw_load_f32(lanes, scale), tw_load_f32(lanes, shift));
    if (add)
        v = _mm512_add_ps(v, tw_get16(lanes, shortcut));
    if (relu)
        v = _mm512_max_ps(_mm512_setzero_ps(), v); /* max returns its second operand if either is NaN: NaN stays */
    tw_put16(y, lanes, v);
}

TW_AVX512_KERNEL void apply_row(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const float *scale, const float *shift, int n, bool add,
                                bool relu)
{
    int c = 0;
    for (; c + LANES <= n; c += LANES)
        apply_channels(y + c, x + c, shortcut + (add ? c : 0), scale + c, shift + c, add, relu, TW_ALL_LANES);
    if (c < n)
        apply_channels(y + c, x + c, shortcut + (add ? c : 0), scale + c, shift + c, add, relu, tw_first_lanes(n - c));
}

TW_AVX512 void tw_norm16_apply(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu)
{
    const float *scale = k->scale + p->c, *shift = k->shift + p->c;
    for (int64_t r = p->first; r < p->first + p->rows; r++) {
        const size_t at = (size_t)r * (size_t)p->C + (size_t)p->c;
        if (shortcut != NULL && relu)
            apply_row(y + at, x + at, shortcut + at, scale, shift, p->n, true, true);
        else if (shortcut != NULL)
            apply_row(y + at, x + at, shortcut + at, scale, shift, p->n, true, false);
        else if (relu)
            apply_row(y + at, x + at, NULL, scale, shift, p->n, false, true);
        else
            apply_row(y + at, x + at, NULL, scale, shift, p->n, false, false);
    }
}

/* Operands of the backward sums. */
typedef struct {
    uint16_t *dy;
    const uint16_t *dy2, *y, *x;
    const float *scale, *shift; /* of the piece's first channel */
    size_t C;
} backward;

/* 16 channels of `rows` rows, from element i (channel c of the piece) on. two (whether there is dy2), mask and rows are compile-time constants. */
TW_AVX512_KERNEL void backward_channels(double *s, double *q, const backward *b, size_t i, int c, bool two, tw_norm_mask mask, int rows,
                                        __mmask16 lanes)
{
    __m512 sum = _mm512_setzero_ps(), product = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int j = 0; j < rows; j++, i += b->C) {
        fetch(b->x + i, b->C);
        fetch(b->dy + i, b->C);
        if (two)
            fetch(b->dy2 + i, b->C);
        if (mask == TW_NORM_BY_Y)
            fetch(b->y + i, b->C);
        const __m512 x = tw_get16(lanes, b->x + i);
        __m256i g = tw_load16(lanes, b->dy + i);
        if (two)
            g = (__m256i)_mm512_cvtneps_pbh(_mm512_add_ps(tw_widened16(g), tw_get16(lanes, b->dy2 + i)));
        if (mask == TW_NORM_BY_Y)
            g = _mm256_and_si256(g, _mm256_cmpgt_epi16(tw_load16(lanes, b->y + i), _mm256_setzero_si256()));
        if (mask == TW_NORM_BY_X)
            g = _mm256_maskz_mov_epi16(tw_positive(lanes, x, b->scale + c, b->shift + c), g);
        if (two || mask == TW_NORM_BY_Y)
            tw_keep16(b->dy + i, lanes, g);
        sum = _mm512_add_ps(sum, tw_widened16(g));
        product = _mm512_fmadd_ps(tw_widened16(g), x, product);
    }
    tw_add_f64(s + c, lanes, sum);
    tw_add_f64(q + c, lanes, product);
}

TW_AVX512_KERNEL void backward_rows(double *s, double *q, const backward *b, size_t at, int n, bool two, tw_norm_mask mask, int rows)
{
    int c = 0;
    for (; c + LANES <= n; c += LANES)
        backward_channels(s, q, b, at + (size_t)c, c, two, mask, rows, TW_ALL_LANES);
    if (c < n)
        backward_channels(s, q, b, at + (size_t)c, c, two, mask, rows, tw_first_lanes(n - c));
}

TW_AVX512_KERNEL void backward_any(double *s, double *q, const backward *b, const tw_norm_piece *p, bool two, tw_norm_mask mask)
{
    size_t at = (size_t)p->first * b->C + (size_t)p->c;
    int64_t r = 0;
    for (; r + FOUR <= p->rows; r += FOUR, at += FOUR * b->C)
        backward_rows(s, q, b, at, p->n, two, mask, FOUR);
    for (; r < p->rows; r++, at += b->C)
        backward_rows(s, q, b, at, p->n, two, mask, 1);
}

TW_AVX512_KERNEL void backward_masked(double *s, double *q, const backward *b, const tw_norm_piece *p, tw_norm_mask mask)
{
    if (b->dy2 != NULL)
        backward_any(s, q, b, p, true, mask);
    else
        backward_any(s, q, b, p, false, mask);
}

TW_AVX512 void tw_norm16_backward_sums(double *s, double *q, uint16_t *dy, const uint16_t *dy2, const uint16_t *y, const uint16_t *x,
                                       const tw_norm_affine *k, const tw_norm_piece *p, tw_norm_mask mask)
{
    const backward b = {dy, dy2, y, x, k->scale + p->c, k->shift + p->c, (size_t)p->C};
    if (mask == TW_NORM_BY_X)
        backward_masked(s, q, &b, p, TW_NORM_BY_X);
    else if (mask == TW_NORM_BY_Y)
        backward_masked(s, q, &b, p, TW_NORM_BY_Y);
    else
        backward_masked(s, q, &b, p, TW_NORM_ALL);
}

/* 16 channels of a row, from channel i on; by_x is a compile-time constant. */
TW_AVX512_KERNEL void dx_channels(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, int i, bool by_x,
                                  __mmask16 lanes)
{
    const __m512 v = tw_get16(lanes, x);
    __m512 g = tw_get16(lanes, dy);
    if (by_x)
        g = _mm512_maskz_mov_ps(tw_positive(lanes, v, k->by_x.scale + i, k->by_x.shift + i), g);
    const __m512 centred = _mm512_sub_ps(v, tw_load_f32(lanes, k->mean + i));
    const __m512 rest = _mm512_fmadd_ps(centred, tw_load_f32(lanes, k->b + i), tw_load_f32(lanes, k->e + i));
    tw_put16(dx, lanes, _mm512_fmadd_ps(g, tw_load_f32(lanes, k->a + i), rest));
}

TW_AVX512_KERNEL void dx_rows(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, const tw_norm_piece *p,
                              bool by_x)
{
    for (int64_t r = p->first; r < p->first + p->rows; r++) {
        const size_t at = (size_t)r * (size_t)p->C + (size_t)p->c;
        int c = 0;
        for (; c + LANES <= p->n; c += LANES)
            dx_channels(dx + at + c, dy + at + c, x + at + c, k, p->c + c, by_x, TW_ALL_LANES);
        if (c < p->n)
            dx_channels(dx + at + c, dy + at + c, x + at + c, k, p->c + c, by_x, tw_first_lanes(p->n - c));
    }
}

TW_AVX512 void tw_norm16_backward_apply(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, const tw_norm_piece *p)
{
    if (k->by_x.scale != NULL)
        dx_rows(dx, dy, x, k, p, true);
    else
        dx_rows(dx, dy, x, k, p, false);
}
#else /* never called: elsewhere no device opens in bf16 */
void tw_norm16_sums(double *s, double *q, const uint16_t *x, const tw_norm_piece *p)
{
    (void)s, (void)q, (void)x, (void)p;
}

void tw_norm16_apply(uint16_t *y, const uint16_t *x, const uint16_t *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu)
{
    (void)y, (void)x, (void)shortcut, (void)k, (void)p, (void)relu;
}

void tw_norm16_backward_sums(double *s, double *q, uint16_t *dy, const uint16_t *dy2, const uint16_t *y, const uint16_t *x,
                             const tw_norm_affine *k, const tw_norm_piece *p, tw_norm_mask mask)
{
    (void)s, (void)q, (void)dy, (void)dy2, (void)y, (void)x, (void)k, (void)p, (void)mask;
}

void tw_norm16_backward_apply(uint16_t *dx, const uint16_t *dy, const uint16_t *x, const tw_norm_coefficients *k, const tw_norm_piece *p)
{
    (void)dx, (void)dy, (void)x, (void)k, (void)p;
}
#endif

void tw_norm16_make(const tw_norm16_use *n, int64_t first, int64_t rows)
{
    const tw_norm_piece p = {first, rows, 0, n->C, n->C};
    if (n->dy != NULL)
        tw_norm16_backward_apply(n->to, n->dy, n->x, &n->coefficients, &p);
    else
        tw_norm16_apply(n->to, n->x, n->shortcut, &n->affine, &p, n->relu);
}
