/* Inside lib/cpu: products of bf16 activation rows and weights by AVX512-BF16, sums in f32. Weights are packed in panels of 32 outputs, [words, 32],
 * a word holding the weights of two inputs (avx512.h). A row's sums depend on that row alone and are taken in the order of its words. */
#ifndef TW_CPU_PRODUCT16_H
#define TW_CPU_PRODUCT16_H

#include "cpu/avx512.h"

#include <stdbool.h>
#include <stddef.h>

enum { TW_PANEL = 32 /* outputs */, TW_PANEL_ROWS = 14 /* of a product: their sums fit the registers */ };

#if defined(__x86_64__)
/* Memory to prefetch into the L2 cache during a product: with each of the first in_lines words one cache line of each `in`; `out` likewise. */
typedef struct {
    const uint16_t *in[3], *out[3];
    size_t in_lines, out_lines;
} tw_fetch16;

TW_AVX512_KERNEL void fetch_lines(const uint16_t *const *at, size_t line)
{
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        _mm_prefetch((const char *)(at[i] + 32 * line), _MM_HINT_T1);
}

/* sum [rows,32] = x [rows,words], row stride `stride` words, times w [words,32]. rows: 14 or 7, a compile-time constant, so that the loops over the
 * sums are unrolled and the sums stay in registers. f: prefetches, or NULL. */
TW_AVX512_KERNEL void tw_product16(__m512 sum[TW_PANEL_ROWS][2], const uint32_t *x, size_t stride, const uint32_t *w, size_t words, int rows,
                                   const tw_fetch16 *f)
{
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t p = 0; p < words; p++, w += TW_PANEL) {
        if (f != NULL && p < f->in_lines)
            fetch_lines(f->in, p);
        if (f != NULL && p < f->out_lines)
            fetch_lines(f->out, p);
        const __m512bh a = (__m512bh)_mm512_load_si512(w), b = (__m512bh)_mm512_load_si512(w + 16);
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            const __m512bh from = (__m512bh)_mm512_set1_epi32((int)x[(size_t)i * stride + p]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], from, a);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], from, b);
        }
    }
}

/* Stores 32 outputs to y, after adding the shortcut (or NULL) and the ReLU of a folded convolution. */
TW_AVX512_KERNEL void tw_store16(uint16_t *y, __m512 low, __m512 high, const uint16_t *shortcut, bool relu)
{
    if (shortcut != NULL) {
        low = _mm512_add_ps(low, tw_get16(TW_ALL_LANES, shortcut));
        high = _mm512_add_ps(high, tw_get16(TW_ALL_LANES, shortcut + 16));
    }
    if (relu) { /* max returns its second operand if either is NaN: NaN stays */
        low = _mm512_max_ps(_mm512_setzero_ps(), low);
        high = _mm512_max_ps(_mm512_setzero_ps(), high);
    }
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
#endif

#endif
