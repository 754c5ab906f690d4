#include "eval/matrix_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 6 x 16 sums in 12 registers, two for b, one for a. Loops over the tile are unrolled so that the sums stay in registers. */
enum { MR = 6, NR = 16, LANES = 8 };

__attribute__((target("avx2,fma"), always_inline)) static inline void sum(__m256 s[MR][2], const float *c, size_t stride, const float *a,
                                                                        const float *b, int k, bool zero)
{
#pragma GCC unroll 6
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            s[i][j] = zero ? _mm256_setzero_ps() : _mm256_loadu_ps(c + (size_t)i * stride + 8 * j);
    for (int d = 0; d < k; d++, a += MR, b += NR) {
        const __m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8);
#pragma GCC unroll 6
        for (int i = 0; i < MR; i++) {
            const __m256 x = _mm256_broadcast_ss(a + i);
            s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
            s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
        }
    }
}

__attribute__((target("avx2,fma"))) static void tile(float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    __m256 s[MR][2];
    sum(s, c, stride, a, b, k, zero);
#pragma GCC unroll 6
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm256_storeu_ps(c + (size_t)i * stride + 8 * j, s[i][j]);
}

/* NaN never counts as larger. */
__attribute__((target("avx2,fma"))) static void largest(tw_largest most, const float *less, int first, const float *c, size_t stride,
                                                        const float *a, const float *b, int k, bool zero)
{
    __m256 s[MR][2];
    sum(s, c, stride, a, b, k, zero);
    const __m256i at = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#pragma GCC unroll 6
    for (int i = 0; i < MR; i++) {
        __m256 best = _mm256_load_ps(most.score + LANES * i);
        __m256 column = _mm256_castsi256_ps(_mm256_load_si256((const __m256i *)(most.column + LANES * i)));
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const __m256 score = _mm256_sub_ps(s[i][j], _mm256_loadu_ps(less + 8 * j));
            const __m256 larger = _mm256_cmp_ps(score, best, _CMP_GT_OQ);
            best = _mm256_blendv_ps(best, score, larger);
            column = _mm256_blendv_ps(column, _mm256_castsi256_ps(_mm256_add_epi32(at, _mm256_set1_epi32(8 * j))), larger);
        }
        _mm256_store_ps(most.score + LANES * i, best);
        _mm256_store_si256((__m256i *)(most.column + LANES * i), _mm256_castps_si256(column));
    }
}

const tw_matrix_kernel tw_matrix_avx2 = {"avx2", MR, NR, LANES, tile, largest};
#endif
