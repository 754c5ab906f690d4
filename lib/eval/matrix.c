#include "eval/matrix.h"

#include <math.h>
#include <string.h>

/* Eight lanes whatever the processor: where AVX is missing the compiler splits them, and the sums stay the same. Products
 * are not fused (-ffp-contract=off), so the clones below agree to the last bit. */
typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));
enum { L = 8, TA = 4, TB = 3 };

#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

static inline __attribute__((always_inline)) float lane_sum(const lanes *v)
{
    const float *s = (const float *)v;
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

/* One tile of na <= TA by nb <= TB sums; the constants let the compiler keep them in registers. */
static inline __attribute__((always_inline)) void dot_tile(float *out, size_t stride, const float *a, const float *b, int D,
                                                           const int na, const int nb)
{
    lanes sum[TA][TB];
    memset(sum, 0, sizeof sum);
    int d = 0;
    for (; d + L <= D; d += L)
        for (int i = 0; i < na; i++) {
            const lanes x = *(const lanes *)(a + (size_t)i * D + d);
            for (int j = 0; j < nb; j++)
                sum[i][j] += x * *(const lanes *)(b + (size_t)j * D + d);
        }
    for (int i = 0; i < na; i++)
        for (int j = 0; j < nb; j++) {
            float s = lane_sum(&sum[i][j]);
            for (int e = d; e < D; e++)
                s += a[(size_t)i * D + e] * b[(size_t)j * D + e];
            out[i * stride + j] = s;
        }
}

CLONES void tw_dot_rows(float *out, size_t stride, const float *a, int na, const float *b, int nb, int D)
{
    for (int j = 0; j < nb; j += TB) {
        const float *bj = b + (size_t)j * D;
        const int width = nb - j < TB ? nb - j : TB;
        int i = 0;
        for (; width == TB && i + TA <= na; i += TA)
            dot_tile(out + i * stride + j, stride, a + (size_t)i * D, bj, D, TA, TB);
        for (; i < na; i++)
            for (int k = 0; k < width; k++)
                dot_tile(out + i * stride + j + k, stride, a + (size_t)i * D, bj + (size_t)k * D, D, 1, 1);
    }
}

static inline __attribute__((always_inline)) void outer_tile(float *out, const float *w, size_t stride, const float *x, int n,
                                                             int D, const int m)
{
    lanes sum[TA][TB];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < TB; j++)
            sum[i][j] = *(const lanes *)(out + (size_t)i * D + j * L);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < m; i++) {
            const float f = w[r * stride + i];
            for (int j = 0; j < TB; j++)
                sum[i][j] += f * *(const lanes *)(x + (size_t)r * D + j * L);
        }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < TB; j++)
            *(lanes *)(out + (size_t)i * D + j * L) = sum[i][j];
}

CLONES void tw_add_outer(float *out, int m, const float *w, size_t stride, const float *x, int n, int D)
{
    int d = 0;
    for (; d + TB * L <= D; d += TB * L) {
        int i = 0;
        for (; i + TA <= m; i += TA)
            outer_tile(out + (size_t)i * D + d, w + i, stride, x + d, n, D, TA);
        for (; i < m; i++)
            outer_tile(out + (size_t)i * D + d, w + i, stride, x + d, n, D, 1);
    }
    for (int i = 0; i < m && d < D; i++)
        for (int r = 0; r < n; r++)
            for (int e = d; e < D; e++)
                out[(size_t)i * D + e] += w[r * stride + i] * x[(size_t)r * D + e];
}

double tw_sum_squares(const float *x, int D)
{
    double s = 0;
    for (int d = 0; d < D; d++)
        s += (double)x[d] * x[d];
    return s;
}

void tw_unit_rows(float *x, size_t n, int D)
{
    for (size_t i = 0; i < n; i++) {
        float *row = x + i * D;
        const double s = sqrt(tw_sum_squares(row, D));
        for (int d = 0; s > 0 && d < D; d++)
            row[d] = (float)(row[d] / s);
    }
}
