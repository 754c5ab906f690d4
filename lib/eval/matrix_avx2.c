#include "eval/matrix_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 6 x 16 sums in 12 registers, two for b, one for a. All loops over the tile are unrolled, or the sums would live in memory. */
enum { MR = 6, NR = 16 };

__attribute__((target("avx2,fma"))) static void tile(float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    __m256 s[MR][2];
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
#pragma GCC unroll 6
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm256_storeu_ps(c + (size_t)i * stride + 8 * j, s[i][j]);
}

const tw_matrix_kernel tw_matrix_avx2 = {"avx2", MR, NR, tile};
#endif
