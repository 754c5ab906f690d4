#include "eval/matrix_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 12 x 32 sums in 24 registers, two for b; a is broadcast from memory. Loops over the tile are unrolled so that the sums stay in registers. */
enum { MR = 12, NR = 32, LANES = 16 };

__attribute__((target("avx512f"), always_inline)) static inline void sum(__m512 s[MR][2], const float *c, size_t stride, const float *a,
                                                                       const float *b, int k, bool zero)
{
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            s[i][j] = zero ? _mm512_setzero_ps() : _mm512_loadu_ps(c + (size_t)i * stride + 16 * j);
    for (int d = 0; d < k; d++, a += MR, b += NR) {
        const __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
#pragma GCC unroll 12
        for (int i = 0; i < MR; i++) {
            const __m512 x = _mm512_set1_ps(a[i]);
            s[i][0] = _mm512_fmadd_ps(x, b0, s[i][0]);
            s[i][1] = _mm512_fmadd_ps(x, b1, s[i][1]);
        }
    }
}

__attribute__((target("avx512f"))) static void tile(float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    __m512 s[MR][2];
    sum(s, c, stride, a, b, k, zero);
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(c + (size_t)i * stride + 16 * j, s[i][j]);
}

/* NaN never counts as larger. */
__attribute__((target("avx512f"))) static void largest(tw_largest most, const float *less, int first, const float *c, size_t stride,
                                                       const float *a, const float *b, int k, bool zero)
{
    __m512 s[MR][2];
    sum(s, c, stride, a, b, k, zero);
    const __m512i at = _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) {
        __m512 best = _mm512_load_ps(most.score + LANES * i);
        __m512i column = _mm512_load_si512(most.column + LANES * i);
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const __m512 score = _mm512_sub_ps(s[i][j], _mm512_loadu_ps(less + 16 * j));
            const __mmask16 larger = _mm512_cmp_ps_mask(score, best, _CMP_GT_OQ);
            best = _mm512_mask_mov_ps(best, larger, score);
            column = _mm512_mask_add_epi32(column, larger, at, _mm512_set1_epi32(16 * j));
        }
        _mm512_store_ps(most.score + LANES * i, best);
        _mm512_store_si512(most.column + LANES * i, column);
    }
}

const tw_matrix_kernel tw_matrix_avx512 = {"avx512", MR, NR, LANES, tile, largest};
#endif
