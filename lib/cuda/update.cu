/* Gradient norms, clipping, loss scaling and optimizer steps over all tensors at once, one chunk of a tensor per block. */
#include "cuda/kernel.h"

#include "cuda/board.h"
#include "nn/formula.h"

/* As torch.cuda.amp.GradScaler: the scale is halved if a gradient is not finite, doubled after this many steps with finite ones. */
enum { GROWTH_STEPS = 2000 };
static const float LEAST_SCALE = 1.0f / 65536;

/* Kernels. */

static __device__ inline int64_t end_of(const tw_update_tensor &t, const tw_update_chunk &c)
{
    return c.from + TW_CHUNK < t.n ? c.from + TW_CHUNK : t.n;
}

/* A thread's share of the sum of squares of x[from] .. x[end - 1]: four at a time, as x + from is aligned to 16 bytes. */
static __device__ inline double squares(const float *x, int64_t from, int64_t end)
{
    double a[4] = {0};
    const int64_t whole = from + (end - from) / 4 * 4;
    for (int64_t i = from + 4 * (int64_t)threadIdx.x; i < whole; i += 4 * TW_BLOCK) {
        float v[4];
        tw_load<float, 4>(v, x + i);
#pragma unroll
        for (int k = 0; k < 4; k++)
            a[k] += (double)v[k] * (double)v[k];
    }
    if (whole + threadIdx.x < end)
        a[0] += (double)x[whole + threadIdx.x] * (double)x[whole + threadIdx.x];
    return a[0] + a[1] + (a[2] + a[3]);
}

/* partial [2*chunks]: per chunk the sum of squares of the gradient and, if wanted, of the weights. */
static __global__ void chunk_squares(double *partial, const tw_update_tensor *tensor, const tw_update_chunk *chunk, bool weights)
{
    const tw_update_chunk c = chunk[blockIdx.x];
    const tw_update_tensor t = tensor[c.tensor];
    const double g = tw_block_sum(squares(t.g, c.from, end_of(t, c)));
    const double w = tw_block_sum(weights && t.decayed ? squares(t.w, c.from, end_of(t, c)) : 0);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = g;
        partial[2 * blockIdx.x + 1] = w;
    }
}

static __global__ void tensor_squares(double *sums, const double *partial, const tw_update_tensor *tensor)
{
    const tw_update_tensor t = tensor[blockIdx.x];
    double g = 0, w = 0;
    for (int i = (int)threadIdx.x; i < t.chunks; i += TW_BLOCK) {
        g += partial[2 * (t.first + i)];
        w += partial[2 * (t.first + i) + 1];
    }
    g = tw_block_sum(g);
    w = tw_block_sum(w);
    if (threadIdx.x == 0) {
        sums[2 * blockIdx.x] = g;
        sums[2 * blockIdx.x + 1] = w;
    }
}

/* The global gradient norm; whether the step is taken; the clipping factor; the loss scale of the next step. */
static __global__ void judge(tw_board *board, const double *sums, int tensors, double clip_norm, bool scaled)
{
    double total = 0;
    for (int i = (int)threadIdx.x; i < tensors; i += TW_BLOCK)
        total += sums[2 * i];
    total = tw_block_sum(total);
    if (threadIdx.x != 0)
        return;
    const double norm = sqrt(total) / (double)board->scale, limit = clip_norm / (norm + 1e-6);
    board->out.gradient_norm = norm;
    board->out.scale = (double)board->scale;
    board->out.taken = isfinite(norm) && isfinite(board->out.loss);
    board->clip = (clip_norm > 0 && limit < 1 ? (float)limit : 1) / board->scale;
    if (scaled && !board->out.taken) {
        board->scale = board->scale / 2 > LEAST_SCALE ? board->scale / 2 : LEAST_SCALE;
        board->good = 0;
    } else if (scaled && ++board->good == GROWTH_STEPS) {
        board->scale *= 2;
        board->good = 0;
    }
    board->out.next = {(double)board->scale, board->good};
}

/* Momentum under LARS and SGD: see tw_momentum. */
static __device__ inline void step_momentum(const tw_update_tensor &t, int64_t i, const tw_momentum &k)
{
    const float w = t.w[i], v = tw_momentum_velocity(w, t.state[0][i], t.g[i], k.grad, k.decay, k.momentum, k.into);
    t.state[0][i] = v;
    t.w[i] = w - k.out * v;
}

static __device__ inline void step_adamw(const tw_update_tensor &t, int64_t i, const tw_adamw &k)
{
    const float g = k.grad * t.g[i], m = t.state[0][i] + (1 - k.beta1) * (g - t.state[0][i]);
    const float v = k.beta2 * t.state[1][i] + (1 - k.beta2) * g * g;
    t.state[0][i] = m;
    t.state[1][i] = v;
    t.w[i] = tw_adamw_weight(t.w[i], m, v, k.decay_factor, k.rate, k.root, k.eps);
}

static __device__ inline tw_momentum momentum_of(const tw_board &b, const tw_update_tensor &t, const double *sums, bool lars)
{
    const double lr = b.in.lr * t.rate;
    double decay = t.decayed ? b.in.weight_decay : 0, local = 1;
    if (lars && t.decayed)
        local = tw_lars_rate(sqrt(sums[1]), sqrt(sums[0]) * (double)b.clip, &decay);
    return {b.clip, (float)decay, 0.9f, lars ? (float)(lr * local) : 1, lars ? 1 : (float)lr};
}

static __device__ inline tw_adamw adamw_of(const tw_board &b, const tw_update_tensor &t)
{
    const double lr = b.in.lr * t.rate, decay = t.decayed ? b.in.weight_decay : 0, step = (double)b.in.adam;
    return {b.clip, (float)(1 - lr * decay), 0.9f, 0.999f, 1e-8f, (float)(lr / (1 - pow(0.9, step))), (float)sqrt(1 - pow(0.999, step))};
}

static __global__ void update(const tw_board *board, const double *sums, const tw_update_tensor *tensor, const tw_update_chunk *chunk,
                              tw_learn_optim optim)
{
    const tw_update_chunk c = chunk[blockIdx.x];
    const tw_update_tensor t = tensor[c.tensor];
    const float keep = (float)board->in.keep, add = (float)(1 - board->in.keep);
    if (!board->out.taken)
        return;
    const tw_momentum momentum = momentum_of(*board, t, sums + 2 * c.tensor, optim == TW_LEARN_LARS);
    const tw_adamw adamw = optim == TW_LEARN_ADAMW ? adamw_of(*board, t) : tw_adamw(); /* once per thread: it takes two powers */
    for (int64_t i = c.from + threadIdx.x; i < end_of(t, c); i += TW_BLOCK) {
        if (optim == TW_LEARN_ADAMW)
            step_adamw(t, i, adamw);
        else
            step_momentum(t, i, momentum);
        if (t.teacher != NULL)
            t.teacher[i] = keep * t.teacher[i] + add * t.w[i];
    }
}

/* Launchers. */

int tw_launch_norms(tw_board *board, double *sums, double *partial, const tw_update_tensor *tensor, int tensors, const tw_update_chunk *chunk,
                    int chunks, bool weights, double clip_norm, bool scaled, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(chunk_squares, (unsigned)chunks, TW_BLOCK, stream, partial, tensor, chunk, weights);
    TW_LAUNCH_BLOCK(tensor_squares, (unsigned)tensors, TW_BLOCK, stream, sums, partial, tensor);
    TW_LAUNCH_BLOCK(judge, 1, TW_BLOCK, stream, board, sums, tensors, clip_norm, scaled);
    return TW_LAUNCHED("gradient norm");
}

int tw_launch_update(const tw_board *board, const double *sums, const tw_update_tensor *tensor, const tw_update_chunk *chunk, int chunks,
                     tw_learn_optim optim, cudaStream_t stream)
{
    TW_LAUNCH(update, (unsigned)chunks, TW_BLOCK, stream, board, sums, tensor, chunk, optim);
    return TW_LAUNCHED("optimizer");
}
