#include "eval/matrix_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 12 x 32 sums in 24 registers, two for b; a is broadcast from memory. All loops over the tile are unrolled,
 * or the sums would live in memory. */
enum { MR = 12, NR = 32 };

__attribute__((target("avx512f"))) static void tile(float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    __m512 s[MR][2];
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
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(c + (size_t)i * stride + 16 * j, s[i][j]);
}

const tw_matrix_kernel tw_matrix_avx512 = {"avx512", MR, NR, tile};
#endif
