/* LayerNorm, a row at a time in f32. Gradients of gamma and beta are summed per piece of rows, then over the pieces in order, so that their bits
 * depend on the shape only. */
#include "cpu/ops.h"

#include "cpu/device.h"
#include "cpu/vec.h"

#include <math.h>
#include <string.h>

enum { PIECE = 64, LANES = 16 }; /* rows of a piece; partial sums of a row, for vectorisation */

TW_KERNEL float total(const float lane[LANES])
{
    float sum[4];
    for (int k = 0; k < 4; k++)
        sum[k] = (lane[k] + lane[k + 4]) + (lane[k + 8] + lane[k + 12]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Sum over the row of (x - shift), and of its square. */
TW_KERNEL void row_sums(float *sum, float *square, const void *restrict x, size_t at, size_t C, float shift, tw_dtype t)
{
    float s[LANES] = {0}, q[LANES] = {0};
    size_t c = 0;
    for (; c + LANES <= C; c += LANES)
        for (size_t k = 0; k < LANES; k++) {
            const float v = tw_get(x, at + c + k, t) - shift;
            s[k] += v;
            q[k] += v * v;
        }
    for (; c < C; c++) {
        const float v = tw_get(x, at + c, t) - shift;
        s[0] += v;
        q[0] += v * v;
    }
    *sum = total(s);
    *square = total(q);
}

TW_KERNEL void forward_any(const tw_layer_norm *n, void *restrict y, const void *restrict x, size_t row, tw_dtype t)
{
    const size_t C = (size_t)n->C, at = row * C;
    const float *restrict gamma = n->gamma, *restrict beta = n->beta;
    float sum, square;
    row_sums(&sum, &square, x, at, C, 0, t);
    const float mean = sum / (float)C;
    row_sums(&sum, &square, x, at, C, mean, t);
    const float rstd = 1 / sqrtf(square / (float)C + (float)n->eps);
    for (size_t c = 0; c < C; c++)
        tw_put(y, at + c, (tw_get(x, at + c, t) - mean) * rstd * gamma[c] + beta[c], t);
    n->mean[row] = mean;
    n->rstd[row] = rstd;
}

TW_CLONES static void forward_row(const tw_layer_norm *n, void *y, const void *x, size_t row, tw_dtype t)
{
    TW_BY_TYPE(t, forward_any, n, y, x, row);
}

int tw_cpu_layer_norm_forward(tw_dev *d, const tw_layer_norm *n, void *y, const void *x)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < n->rows; row++)
        forward_row(n, y, x, (size_t)row, d->precision);
    return 0;
}

/* dx of one row, and its part of the sums for gamma and beta. */
TW_KERNEL void backward_row(const tw_layer_norm *n, void *restrict dx, float *restrict dgamma, float *restrict dbeta,
                            const void *restrict dy, const void *restrict x, size_t row, tw_dtype t)
{
    const size_t C = (size_t)n->C, at = row * C;
    const float *restrict gamma = n->gamma;
    const float mean = n->mean[row], rstd = n->rstd[row];
    float s[LANES] = {0}, q[LANES] = {0}; /* sums of dy gamma, and of dy gamma xhat */
    size_t c = 0;
    for (; c + LANES <= C; c += LANES)
        for (size_t k = 0; k < LANES; k++) {
            const float g = tw_get(dy, at + c + k, t), hat = (tw_get(x, at + c + k, t) - mean) * rstd;
            dgamma[c + k] += g * hat;
            dbeta[c + k] += g;
            s[k] += g * gamma[c + k];
            q[k] += g * gamma[c + k] * hat;
        }
    for (; c < C; c++) {
        const float g = tw_get(dy, at + c, t), hat = (tw_get(x, at + c, t) - mean) * rstd;
        dgamma[c] += g * hat;
        dbeta[c] += g;
        s[0] += g * gamma[c];
        q[0] += g * gamma[c] * hat;
    }
    const float a = total(s) / (float)C, b = total(q) / (float)C;
    for (c = 0; c < C; c++) {
        const float hat = (tw_get(x, at + c, t) - mean) * rstd;
        const float before = n->adds ? tw_get(dx, at + c, t) : 0;
        tw_put(dx, at + c, before + rstd * (tw_get(dy, at + c, t) * gamma[c] - a - hat * b), t);
    }
}

TW_KERNEL void backward_any(const tw_layer_norm *n, void *dx, float *sums, const void *dy, const void *x, int64_t first, tw_dtype t)
{
    memset(sums, 0, 2 * (size_t)n->C * sizeof *sums);
    for (int64_t row = first; row < tw_min(first + PIECE, n->rows); row++)
        backward_row(n, dx, sums, sums + n->C, dy, x, (size_t)row, t);
}

TW_CLONES static void backward_rows(const tw_layer_norm *n, void *dx, float *sums, const void *dy, const void *x, int64_t first,
                                     tw_dtype t)
{
    TW_BY_TYPE(t, backward_any, n, dx, sums, dy, x, first);
}

int tw_cpu_layer_norm_backward(tw_dev *d, const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy,
                               const void *x)
{
    const int64_t pieces = tw_pieces(n->rows, PIECE), C = n->C;
    float *sums = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)(pieces * 2 * C) * sizeof *sums);
    if (sums == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < pieces; i++)
        backward_rows(n, dx, sums + i * 2 * C, dy, x, i * PIECE, d->precision);
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t c = 0; c < C; c++) {
            dgamma[c] += sums[i * 2 * C + c];
            dbeta[c] += sums[(i * 2 + 1) * C + c];
        }
    return 0;
}
