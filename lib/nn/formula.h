/* The arithmetic of single numbers that the CPU's loops and CUDA's kernels have in common: what the tests prove of one holds
 * for the other. C11 and CUDA C++. */
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

/* Level v of colour c (red, green, blue) less ImageNet's mean, over its deviation. */
TW_FORMULA float tw_picture_level(int v, int c)
{
    const double mean = c == 0 ? 0.485 : c == 1 ? 0.456 : 0.406, std = c == 0 ? 0.229 : c == 1 ? 0.224 : 0.225;
    return (float)((v / 255.0 - mean) / std);
}

/* The normal distribution at x, and in *density its derivative, from e = exp(-x^2 / 2): to 1e-7, by Abramowitz and Stegun's 7.1.26, which
 * needs no other exponential. */
TW_FORMULA float tw_cdf_and_density(float x, float e, float *density)
{
    const float t = x < 0 ? -x : x;
#ifdef __CUDA_ARCH__
    const float k = __fdividef(1, 1 + 0.23164190f * t); /* of 1 and more: two roundings off at most */
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

/* BatchNorm's eps, and how far running statistics move: PyTorch's. */
#define TW_NORM_EPS 1e-5
#define TW_NORM_MOMENTUM 0.1

/* Variance from the mean and the mean square: not below 0; NaN stays. */
TW_FORMULA double tw_norm_variance(double mean, double square)
{
    const double var = square - mean * mean;
    return var > 0 ? var : var == var ? 0 : var;
}

TW_FORMULA float tw_norm_rstd(double var)
{
    return (float)(1 / sqrt(var + TW_NORM_EPS));
}

/* A norm by its running statistics is x scale + shift. gamma, beta: 1 and 0 where there is no affine part. */
TW_FORMULA float tw_norm_scale(float gamma, float var)
{
    return gamma * tw_norm_rstd((double)var);
}

TW_FORMULA float tw_norm_shift(float beta, float mean, float scale)
{
    return beta - mean * scale;
}

TW_FORMULA float tw_norm_move(float running, double now)
{
    return (float)((1 - TW_NORM_MOMENTUM) * (double)running + TW_NORM_MOMENTUM * now);
}

/* sum dy xhat, from {sum dy, sum dy x}. */
TW_FORMULA double tw_norm_normalised(double sum, double product, float mean, float rstd)
{
    return (product - (double)mean * sum) * (double)rstd;
}

/* The TWIST loss: see train/loss.c. */
#define TW_LOSS_EPS 1e-5f

/* The derivative of the mean's entropy, negated; log_m = log(m + eps). */
TW_FORMULA double tw_mean_entropy_slope(double m, double log_m)
{
    return log_m + m / (m + (double)TW_LOSS_EPS);
}

/* Share of view v in the means over pairs: pairs it is in, over 2 P. With a teacher: over all views. */
TW_FORMULA double tw_view_weight(int v, int V, bool taught)
{
    return taught ? 1.0 / V : (v < 2 ? V - 1 : 2) / (2.0 * (2 * V - 3));
}

/* How many divergences kl is the mean of. */
TW_FORMULA double tw_divergences(int V, bool taught)
{
    return 2.0 * (taught ? V - 1 : 2 * V - 3);
}

/* Deviation from sums over n numbers; not below 0, NaN stays. */
TW_FORMULA double tw_deviation(double sum, double squares, double n)
{
    const double mean = sum / n, var = squares / n - mean * mean;
    return var > 0 ? sqrt(var) : var == var ? 0 : var;
}

/* LARS's local rate: eta ||w|| / (||g|| + decay ||w||), 1 where one of them is 0: then there is no decay either. */
TW_FORMULA double tw_lars_rate(double w, double g, double *decay)
{
    if (w > 0 && g > 0)
        return 0.001 * w / (g + *decay * w);
    *decay = 0;
    return 1;
}

/* Of a row that dropout or stochastic depth decides about: see tw_drop. */
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
