/* Passes over whole tensors: the optimizers' arithmetic, a teacher's average. */
#include "cpu/ops.h"

#include "cpu/device.h"
#include "cpu/vec.h"
#include "nn/formula.h"

enum { LANES = 32 }; /* independent partial sums, to hide the latency of the additions */

TW_CLONES static double squares_piece(const float *x, size_t from, size_t to)
{
    double lane[LANES] = {0};
    size_t i = from;
    for (; i + LANES <= to; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < to; i++)
        lane[0] += (double)x[i] * (double)x[i];
    for (size_t n = LANES / 2; n > 0; n /= 2)
        for (size_t k = 0; k < n; k++)
            lane[k] += lane[k + n];
    return lane[0];
}

int tw_cpu_sum_squares(tw_dev *d, double *sum, const float *x, size_t n)
{
    const size_t pieces = (n + TW_PIECE - 1) / TW_PIECE;
    double *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, pieces * sizeof *partial);
    if (partial == NULL)
        return -1;
    TW_FOR_PIECES(n, from, to, partial[from / TW_PIECE] = squares_piece(x, from, to));
    *sum = 0;
    for (size_t i = 0; i < pieces; i++)
        *sum += partial[i];
    return 0;
}

TW_CLONES static void momentum_piece(float *restrict w, float *restrict v, const float *restrict g, size_t from, size_t to,
                                     tw_momentum k)
{
    for (size_t i = from; i < to; i++) {
        v[i] = tw_momentum_velocity(w[i], v[i], g[i], k.grad, k.decay, k.momentum, k.into);
        w[i] -= k.out * v[i];
    }
}

int tw_cpu_step_momentum(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k)
{
    (void)d;
    TW_FOR_PIECES(n, from, to, momentum_piece(w, v, g, from, to, *k));
    return 0;
}

TW_CLONES static void adamw_piece(float *restrict w, float *restrict m, float *restrict v, const float *restrict g, size_t from,
                                  size_t to, tw_adamw k)
{
    for (size_t i = from; i < to; i++) {
        const float gradient = k.grad * g[i];
        m[i] += (1 - k.beta1) * (gradient - m[i]);
        v[i] = k.beta2 * v[i] + (1 - k.beta2) * gradient * gradient;
        w[i] = tw_adamw_weight(w[i], m[i], v[i], k.decay_factor, k.rate, k.root, k.eps);
    }
}

int tw_cpu_step_adamw(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k)
{
    (void)d;
    TW_FOR_PIECES(n, from, to, adamw_piece(w, m, v, g, from, to, *k));
    return 0;
}

TW_CLONES static void average_piece(float *restrict y, const float *restrict x, size_t from, size_t to, float keep, float add)
{
    for (size_t i = from; i < to; i++)
        y[i] = keep * y[i] + add * x[i];
}

int tw_cpu_average(tw_dev *d, float *y, const float *x, size_t n, double keep)
{
    (void)d;
    TW_FOR_PIECES(n, from, to, average_piece(y, x, from, to, (float)keep, (float)(1 - keep)));
    return 0;
}
