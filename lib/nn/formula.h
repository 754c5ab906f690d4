/* Scalar formulas shared by the CPU's loops and the CUDA kernels, so that what tests prove on the CPU holds for the GPU's arithmetic too.
 * Compiles as C11 and as CUDA C++. */
#ifndef TW_NN_FORMULA_H
#define TW_NN_FORMULA_H

#include "nn/backend.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define TW_FORMULA static __host__ __device__ inline
#else
#define TW_FORMULA static inline
#endif

/* Level v of 0 .. 255 of colour c (0 red, 1 green, 2 blue), normalised: (v / 255 - mean) / std, ImageNet's as in torchvision. */
TW_FORMULA float tw_picture_level(int v, int c)
{
    const double mean = c == 0 ? 0.485 : c == 1 ? 0.456 : 0.406, std = c == 0 ? 0.229 : c == 1 ? 0.224 : 0.225;
    return (float)((v / 255.0 - mean) / std);
}

/* Phi(x), the standard normal's distribution function, and its density in *density, from e = exp(-x^2 / 2), the only exponential needed.
 * Abramowitz and Stegun 7.1.26; absolute error 1e-7. */
TW_FORMULA float tw_cdf_and_density(float x, float e, float *density)
{
    const float t = x < 0 ? -x : x;
#ifdef __CUDA_ARCH__
    const float k = __fdividef(1, 1 + 0.23164190f * t); /* the divisor is at least 1: error of 2 ulp at most */
#else
    const float k = 1 / (1 + 0.23164190f * t);
#endif
    float p = 1.061405429f;
    p = p * k - 1.453152027f;
    p = p * k + 1.421413741f;
    p = p * k - 0.284496736f;
    p = p * k + 0.254829592f;
    const float beyond = 0.5f * p * k * e;
    *density = 0.39894228f * e;
    return x < 0 ? beyond : 1 - beyond;
}

/* eps and momentum of BatchNorm: PyTorch's defaults. */
#define TW_NORM_EPS 1e-5
#define TW_NORM_MOMENTUM 0.1

/* Variance from the mean and the mean of the squares, clamped to 0 from below; NaN stays NaN. */
TW_FORMULA double tw_norm_variance(double mean, double square)
{
    const double var = square - mean * mean;
    return var > 0 ? var : var == var ? 0 : var;
}

TW_FORMULA float tw_norm_rstd(double var)
{
    return (float)(1 / sqrt(var + TW_NORM_EPS));
}

/* BatchNorm by running statistics as y = x scale + shift. gamma, beta: 1 and 0 where there is no affine part. */
TW_FORMULA float tw_norm_scale(float gamma, float var)
{
    return gamma * tw_norm_rstd((double)var);
}

TW_FORMULA float tw_norm_shift(float beta, float mean, float scale)
{
    return beta - mean * scale;
}

/* The new running statistic, from the old one and the batch's. */
TW_FORMULA float tw_norm_move(float running, double now)
{
    return (float)((1 - TW_NORM_MOMENTUM) * (double)running + TW_NORM_MOMENTUM * now);
}

/* sum of dy xhat (xhat: the normalised x), from sum = sum of dy and product = sum of dy x. */
TW_FORMULA double tw_norm_normalised(double sum, double product, float mean, float rstd)
{
    return (product - (double)mean * sum) * (double)rstd;
}

/* The TWIST loss: see train/loss.c. */
#define TW_LOSS_EPS 1e-5f

/* -d/dm of the diversity term -m log(m + eps), m: a class's mean probability; log_m = log(m + eps). */
TW_FORMULA double tw_mean_entropy_slope(double m, double log_m)
{
    return log_m + m / (m + (double)TW_LOSS_EPS);
}

/* Weight of view v's entropies in the means over all P = 2V - 3 pairs of views: the pairs it is in / 2P. With a teacher: 1 / V. */
TW_FORMULA double tw_view_weight(int v, int V, bool taught)
{
    return taught ? 1.0 / V : (v < 2 ? V - 1 : 2) / (2.0 * (2 * V - 3));
}

/* How many divergences KL(.,.) kl is the mean of. */
TW_FORMULA double tw_divergences(int V, bool taught)
{
    return 2.0 * (taught ? V - 1 : 2 * V - 3);
}

/* Standard deviation (population) of n numbers from their sum and sum of squares; never below 0, NaN stays NaN. */
TW_FORMULA double tw_deviation(double sum, double squares, double n)
{
    const double mean = sum / n, var = squares / n - mean * mean;
    return var > 0 ? sqrt(var) : var == var ? 0 : var;
}

/* LARS's local rate eta ||w|| / (||g|| + decay ||w||) with eta 0.001, from the norms w and g. Where either is 0: 1, and *decay becomes 0. */
TW_FORMULA double tw_lars_rate(double w, double g, double *decay)
{
    if (w > 0 && g > 0)
        return 0.001 * w / (g + *decay * w);
    *decay = 0;
    return 1;
}

/* The number, among the rows of all ranks, of this pass's row `row`: see tw_drop. */
TW_FORMULA uint32_t tw_drop_number(const tw_drop *d, int64_t row)
{
    return (uint32_t)(d->row + row / d->batch * d->stride + row % d->batch);
}

/* Steps of the optimizers for one number; see tw_momentum and tw_adamw. */
TW_FORMULA float tw_momentum_velocity(float w, float v, float g, float grad, float decay, float momentum, float into)
{
    return momentum * v + into * (grad * g + decay * w);
}

TW_FORMULA float tw_adamw_weight(float w, float m, float v, float decay_factor, float rate, float root, float eps)
{
    return decay_factor * w - rate * m / (sqrtf(v) / root + eps);
}

#endif
