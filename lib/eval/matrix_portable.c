#include "eval/matrix_kernels.h"

#include <stdint.h>
#include <string.h>

/* fmaf by plain operations. The product is exact in double. The sum is rounded to odd (the last bit is set if the sum is inexact), after which
 * rounding to float gives the correctly rounded result (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). No branches,
 * so that the compiler vectorises it. */
static inline float fused(float a, float b, float c)
{
    const double p = (double)a * b, s = p + c, t = s - p;
    const double lost = (p - (s - t)) + (c - t); /* NaN if infinities or NaN are involved; then the sum stays as it is */
    uint64_t bits, sign;
    memcpy(&bits, &s, sizeof bits);
    memcpy(&sign, &lost, sizeof sign);
    const uint64_t step = (uint64_t)((lost < 0) | (lost > 0)) & ~bits & 1;
    bits += step - 2 * (step & (sign ^ bits) >> 63);
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
}

float tw_matrix_fused(float a, float b, float c)
{
    return fused(a, b, c);
}

#if defined(__FP_FAST_FMAF) /* fmaf is an instruction */
#define FUSED __builtin_fmaf
#else
#define FUSED fused
#endif

enum { MR = 4, NR = 8 };

static inline void sum(float s[MR][NR], const float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++)
            s[i][j] = zero ? 0 : c[(size_t)i * stride + j];
    for (int d = 0; d < k; d++, a += MR, b += NR)
        for (int i = 0; i < MR; i++)
            for (int j = 0; j < NR; j++)
                s[i][j] = FUSED(a[i], b[j], s[i][j]);
}

static void tile(float *c, size_t stride, const float *a, const float *b, int k, bool zero)
{
    float s[MR][NR];
    sum(s, c, stride, a, b, k, zero);
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++)
            c[(size_t)i * stride + j] = s[i][j];
}

static void largest(tw_largest most, const float *less, int first, const float *c, size_t stride, const float *a, const float *b, int k,
                    bool zero)
{
    float s[MR][NR];
    sum(s, c, stride, a, b, k, zero);
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++) {
            const float score = s[i][j] - less[j];
            const bool larger = score > most.score[NR * i + j];
            most.score[NR * i + j] = larger ? score : most.score[NR * i + j];
            most.column[NR * i + j] = larger ? first + j : most.column[NR * i + j];
        }
}

const tw_matrix_kernel tw_matrix_portable = {"portable", MR, NR, NR, tile, largest};
