/* Inside lib/cpu: helpers for the kernels written with AVX-512 and AVX512-BF16 intrinsics, which are chosen at run time. Approximations are
 * accurate enough for results that are rounded to bf16, not more.
 * "Word" in these kernels: 32 bits with two bf16 numbers that are neighbours in the inner dimension, the unit that dpbf16 multiplies. */
#ifndef TW_CPU_AVX512_H
#define TW_CPU_AVX512_H

#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Code with bf16 instructions runs only if the device's precision is bf16, which needs a processor that has them. */
#define TW_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,prfchw")))
#define TW_AVX512_KERNEL TW_AVX512 static inline __attribute__((always_inline))

/* Interleaves two rows of 32 bf16 numbers into words (first[i], second[i]): *low those of i < 16, *high the others. */
TW_AVX512_KERNEL void tw_words(__m512i *low, __m512i *high, __m512i first, __m512i second)
{
    static const uint16_t order[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                       8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i to_low = _mm512_loadu_si512(order), to_high = _mm512_add_epi16(to_low, _mm512_set1_epi16(16));
    *low = _mm512_permutex2var_epi16(first, to_low, second);
    *high = _mm512_permutex2var_epi16(first, to_high, second);
}

/* 2^x to a relative error of 3e-6; 0 in the lanes outside the mask. */
TW_AVX512_KERNEL __m512 tw_exp2_lanes(__mmask16 lanes, __m512 x)
{
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(0.009570102f); /* minimax of the relative error on [-1/2, 1/2] */
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05591786f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.24024744f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6931218f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.9999993f));
    return _mm512_maskz_scalef_ps(lanes, p, n);
}

/* Transposes a 16 x 16 matrix of 32-bit words in place. */
TW_AVX512_KERNEL void tw_transpose16(__m512i m[16])
{
    __m512i a[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        m[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        m[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        m[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        m[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_i64x2(m[i], m[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_i64x2(m[i], m[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_i64x2(m[i + 8], m[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_i64x2(m[i + 8], m[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        m[i] = _mm512_shuffle_i64x2(a[i], a[i + 8], 0x88);
        m[i + 4] = _mm512_shuffle_i64x2(a[i + 4], a[i + 12], 0x88);
        m[i + 8] = _mm512_shuffle_i64x2(a[i], a[i + 8], 0xdd);
        m[i + 12] = _mm512_shuffle_i64x2(a[i + 4], a[i + 12], 0xdd);
    }
}

/* taps[i], i < 9: tap i of 16 kernels of 3 x 3, which begin `apart` floats after one another. */
TW_AVX512_KERNEL void tw_taps16(__m512i taps[16], const float *w, size_t apart)
{
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        taps[i] = _mm512_maskz_loadu_epi32(0x1ff, w + (size_t)i * apart);
    tw_transpose16(taps);
}

/* The words (first, second) of 16 lanes, rounded to bf16. */
TW_AVX512_KERNEL __m512i tw_word16(__m512 first, __m512 second)
{
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* Mask of the first n of 16 lanes; all if n > 16. n >= 1 */
TW_AVX512_KERNEL __mmask16 tw_first_lanes(int64_t n)
{
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/* Loads and stores of 16 lanes of bf16 and f32. With the constant TW_ALL_LANES the compiler emits unmasked instructions: masked stores are not
 * forwarded to later loads. */
#define TW_ALL_LANES ((__mmask16)0xffff)

TW_AVX512_KERNEL __m256i tw_load16(__mmask16 lanes, const uint16_t *x)
{
    return lanes == TW_ALL_LANES ? _mm256_loadu_si256((const void *)x) : _mm256_maskz_loadu_epi16(lanes, x);
}

TW_AVX512_KERNEL void tw_keep16(uint16_t *y, __mmask16 lanes, __m256i v)
{
    if (lanes == TW_ALL_LANES)
        _mm256_storeu_si256((void *)y, v);
    else
        _mm256_mask_storeu_epi16(y, lanes, v);
}

TW_AVX512_KERNEL __m512 tw_load_f32(__mmask16 lanes, const float *x)
{
    return lanes == TW_ALL_LANES ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(lanes, x);
}

TW_AVX512_KERNEL __m512 tw_widened16(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

TW_AVX512_KERNEL __m512 tw_get16(__mmask16 lanes, const uint16_t *x)
{
    return tw_widened16(tw_load16(lanes, x));
}

TW_AVX512_KERNEL void tw_put16(uint16_t *y, __mmask16 lanes, __m512 v)
{
    tw_keep16(y, lanes, (__m256i)_mm512_cvtneps_pbh(v));
}

/* s [16] f64 += v */
TW_AVX512_KERNEL void tw_add_f64(double *s, __mmask16 lanes, __m512 v)
{
    const __mmask8 low = (__mmask8)lanes, high = (__mmask8)(lanes >> 8);
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    const __m512d b = _mm512_cvtps_pd(_mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(v), 1)));
    if (lanes == TW_ALL_LANES) {
        _mm512_storeu_pd(s, _mm512_add_pd(_mm512_loadu_pd(s), a));
        _mm512_storeu_pd(s + 8, _mm512_add_pd(_mm512_loadu_pd(s + 8), b));
        return;
    }
    _mm512_mask_storeu_pd(s, low, _mm512_add_pd(_mm512_maskz_loadu_pd(low, s), a));
    _mm512_mask_storeu_pd(s + 8, high, _mm512_add_pd(_mm512_maskz_loadu_pd(high, s + 8), b));
}

/* Mask of the lanes where x scale + shift > 0. */
TW_AVX512_KERNEL __mmask16 tw_positive(__mmask16 lanes, __m512 x, const float *scale, const float *shift)
{
    const __m512 v = _mm512_fmadd_ps(x, tw_load_f32(lanes, scale), tw_load_f32(lanes, shift));
    return _mm512_mask_cmp_ps_mask(lanes, v, _mm512_setzero_ps(), _CMP_GT_OQ);
}
#endif

#endif
