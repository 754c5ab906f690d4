/* Optimizer steps of one tensor. */
#include "cuda/kernel.h"

#include "nn/formula.h"

/* Kernels. */

/* partial[block] = sum of squares: each thread's elements in order, then the threads in a fixed order. */
static __global__ void sum_squares(double *partial, const float *x, int64_t n)
{
    double total = 0;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP)
        total += (double)x[i] * (double)x[i];
    total = tw_block_sum(total);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = total;
}

static __global__ void sum_blocks(double *sum, const double *partial, int n)
{
    double total = 0;
    for (int i = (int)threadIdx.x; i < n; i += TW_BLOCK)
        total += partial[i];
    total = tw_block_sum(total);
    if (threadIdx.x == 0)
        *sum = total;
}

static __global__ void momentum(float *w, float *v, const float *g, int64_t n, tw_momentum k)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        v[i] = tw_momentum_velocity(w[i], v[i], g[i], k.grad, k.decay, k.momentum, k.into);
        w[i] -= k.out * v[i];
    }
}

static __global__ void adamw(float *w, float *m, float *v, const float *g, int64_t n, tw_adamw k)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const float gradient = k.grad * g[i];
        m[i] += (1 - k.beta1) * (gradient - m[i]);
        v[i] = k.beta2 * v[i] + (1 - k.beta2) * gradient * gradient;
        w[i] = tw_adamw_weight(w[i], m[i], v[i], k.decay_factor, k.rate, k.root, k.eps);
    }
}

static __global__ void average(float *y, const float *x, int64_t n, float keep, float add)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP)
        y[i] = keep * y[i] + add * x[i];
}

/* Launchers. */

int tw_launch_sum_squares(double *sum, double *partial, const float *x, int64_t n, cudaStream_t stream)
{
    const int64_t wanted = tw_pieces(n, TW_BLOCK * 8), most = TW_SQUARES_PARTIALS;
    const int blocks = (int)(wanted < 1 ? 1 : wanted < most ? wanted : most);
    TW_LAUNCH_BLOCK(sum_squares, (unsigned)blocks, TW_BLOCK, stream, partial, x, n);
    TW_LAUNCH_BLOCK(sum_blocks, 1, TW_BLOCK, stream, sum, partial, blocks);
    return TW_LAUNCHED("sum of squares");
}

int tw_launch_momentum(float *w, float *v, const float *g, int64_t n, const tw_momentum *k, cudaStream_t stream)
{
    TW_LAUNCH(momentum, tw_blocks(n), TW_BLOCK, stream, w, v, g, n, *k);
    return TW_LAUNCHED("momentum");
}

int tw_launch_adamw(float *w, float *m, float *v, const float *g, int64_t n, const tw_adamw *k, cudaStream_t stream)
{
    TW_LAUNCH(adamw, tw_blocks(n), TW_BLOCK, stream, w, m, v, g, n, *k);
    return TW_LAUNCHED("AdamW");
}

int tw_launch_average(float *y, const float *x, int64_t n, double keep, cudaStream_t stream)
{
    TW_LAUNCH(average, tw_blocks(n), TW_BLOCK, stream, y, x, n, (float)keep, (float)(1 - keep));
    return TW_LAUNCHED("average");
}
