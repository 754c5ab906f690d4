/* Exact GELU, x Phi(x). In bf16 with AVX-512, if the processor has it: an approximate reciprocal, and an exponential accurate enough for bf16. */
#include "cpu/ops.h"

#include "cpu/avx512.h"
#include "cpu/device.h"
#include "cpu/vec.h"
#include "nn/formula.h"

TW_KERNEL void gelu_any(void *restrict y, const void *restrict x, size_t from, size_t to, tw_dtype t)
{
    for (size_t i = from; i < to; i++) {
        const float v = tw_get(x, i, t);
        float density;
        tw_put(y, i, v * tw_cdf_and_density(v, tw_exp(-0.5f * v * v), &density), t);
    }
}

TW_CLONES static void gelu_piece(void *y, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, gelu_any, y, x, from, to);
}

/* dx = dy (Phi(x) + x phi(x)) */
TW_KERNEL void gelu_backward_any(void *restrict dx, const void *restrict dy, const void *restrict x, size_t from, size_t to,
                                 tw_dtype t)
{
    for (size_t i = from; i < to; i++) {
        const float v = tw_get(x, i, t);
        float density;
        const float cdf = tw_cdf_and_density(v, tw_exp(-0.5f * v * v), &density);
        tw_put(dx, i, tw_get(dy, i, t) * (cdf + v * density), t);
    }
}

TW_CLONES static void gelu_backward_piece(void *dx, const void *dy, const void *x, size_t from, size_t to, tw_dtype t)
{
    TW_BY_TYPE(t, gelu_backward_any, dx, dy, x, from, to);
}

#if defined(__x86_64__)
enum { LANES = 16 };

/* Prefetches one page ahead: the hardware prefetcher stops at page boundaries, and half of the time would be spent waiting. */
TW_AVX512_KERNEL void fetch(const void *x, size_t i)
{
    _mm_prefetch((const char *)x + 2 * i + 4096, _MM_HINT_T0);
}

/* tw_cdf_and_density of 16 numbers. */
TW_AVX512_KERNEL __m512 cdf_lanes(__m512 x, __m512 *density)
{
    const __m512 one = _mm512_set1_ps(1), least = _mm512_set1_ps(-200); /* max returns its second operand if either is NaN: NaN stays */
    const __m512 e = tw_exp2_lanes(0xffff, _mm512_max_ps(least, _mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.72134752f))));
    const __m512 k = _mm512_rcp14_ps(_mm512_fmadd_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.23164190f), one));
    __m512 p = _mm512_set1_ps(0.5f * 1.061405429f);
    p = _mm512_fmadd_ps(p, k, _mm512_set1_ps(0.5f * -1.453152027f));
    p = _mm512_fmadd_ps(p, k, _mm512_set1_ps(0.5f * 1.421413741f));
    p = _mm512_fmadd_ps(p, k, _mm512_set1_ps(0.5f * -0.284496736f));
    p = _mm512_fmadd_ps(p, k, _mm512_set1_ps(0.5f * 0.254829592f));
    const __m512 beyond = _mm512_mul_ps(_mm512_mul_ps(p, k), e);
    *density = _mm512_mul_ps(e, _mm512_set1_ps(0.39894228f));
    return _mm512_mask_sub_ps(beyond, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLT_UQ), one, beyond);
}

TW_AVX512 static void gelu_lanes(void *y, const void *x, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += LANES) {
        const __mmask16 lanes = tw_first_lanes((int64_t)(to - i));
        fetch(x, i);
        fetch(y, i);
        const __m512 v = tw_get16(lanes, (const uint16_t *)x + i);
        __m512 density;
        tw_put16((uint16_t *)y + i, lanes, _mm512_mul_ps(v, cdf_lanes(v, &density)));
    }
}

TW_AVX512 static void gelu_backward_lanes(void *dx, const void *dy, const void *x, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += LANES) {
        const __mmask16 lanes = tw_first_lanes((int64_t)(to - i));
        fetch(x, i);
        fetch(dy, i);
        fetch(dx, i);
        const __m512 v = tw_get16(lanes, (const uint16_t *)x + i);
        __m512 density;
        const __m512 cdf = cdf_lanes(v, &density);
        tw_put16((uint16_t *)dx + i, lanes, _mm512_mul_ps(tw_get16(lanes, (const uint16_t *)dy + i), _mm512_fmadd_ps(v, density, cdf)));
    }
}
#else
static void gelu_lanes(void *y, const void *x, size_t from, size_t to)
{
    gelu_piece(y, x, from, to, TW_BF16);
}

static void gelu_backward_lanes(void *dx, const void *dy, const void *x, size_t from, size_t to)
{
    gelu_backward_piece(dx, dy, x, from, to, TW_BF16);
}
#endif

int tw_cpu_gelu_forward(tw_dev *d, void *y, const void *x, size_t n)
{
    if (d->precision == TW_BF16)
        TW_FOR_PIECES(n, from, to, gelu_lanes(y, x, from, to));
    else
        TW_FOR_PIECES(n, from, to, gelu_piece(y, x, from, to, d->precision));
    return 0;
}

int tw_cpu_gelu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n)
{
    if (d->precision == TW_BF16)
        TW_FOR_PIECES(n, from, to, gelu_backward_lanes(dx, dy, x, from, to));
    else
        TW_FOR_PIECES(n, from, to, gelu_backward_piece(dx, dy, x, from, to, d->precision));
    return 0;
}
