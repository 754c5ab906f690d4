/* LayerNorm: one row per warp, whose threads keep their channels in registers (C up to MOST_CHANNELS, a multiple of 4); other rows take a block each.
 * Gradients of gamma and beta are computed in the same pass as dx, summed in an order that depends on the shape only. Rows are taken from the last
 * to the first: the product before has just written the last one, and the next product begins with the first. Also a stand-alone ReLU. */
#include "cuda/kernel.h"

enum { WARPS = TW_BLOCK / 32, MOST_BLOCKS = 264 /* two per multiprocessor of an H100 */, MOST_CHANNELS = 1024 };

/* Kernels. */

template <typename T> static __global__ void norm_rows(tw_layer_norm n, T *y, const T *x)
{
    const int64_t row = blockIdx.x, at = row * n.C;
    double sum = 0, square = 0;
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK)
        sum += (double)tw_widen(x[at + c]);
    const float mean = (float)(tw_block_sum(sum) / n.C);
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK) {
        const float v = tw_widen(x[at + c]) - mean;
        square += (double)(v * v);
    }
    const float rstd = 1 / sqrtf((float)(tw_block_sum(square) / n.C) + (float)n.eps);
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK)
        y[at + c] = tw_narrow<T>((tw_widen(x[at + c]) - mean) * rstd * n.gamma[c] + n.beta[c]);
    if (threadIdx.x == 0) {
        n.mean[row] = mean;
        n.rstd[row] = rstd;
    }
}

template <typename T> static __global__ void backward_rows(tw_layer_norm n, T *dx, const T *dy, const T *x)
{
    const int64_t row = blockIdx.x, at = row * n.C;
    const float mean = n.mean[row], rstd = n.rstd[row];
    double sum = 0, product = 0; /* sums of dy gamma, and of dy gamma xhat */
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK) {
        const float g = tw_widen(dy[at + c]) * n.gamma[c];
        sum += (double)g;
        product += (double)(g * (tw_widen(x[at + c]) - mean) * rstd);
    }
    const float a = (float)(tw_block_sum(sum) / n.C), b = (float)(tw_block_sum(product) / n.C);
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK) {
        const float hat = (tw_widen(x[at + c]) - mean) * rstd;
        const float before = n.adds ? tw_widen(dx[at + c]) : 0;
        dx[at + c] = tw_narrow<T>(before + rstd * (tw_widen(dy[at + c]) * n.gamma[c] - a - hat * b));
    }
}

/* Gradients of gamma and beta: 32 channels per block, whose 8 threads down take every eighth row. */
template <typename T> static __global__ void add_params(tw_layer_norm n, float *dgamma, float *dbeta, const T *dy, const T *x)
{
    __shared__ float room[2][8][32];
    const int c = (int)(blockIdx.x * 32 + threadIdx.x);
    float by_gamma = 0, by_beta = 0;
    for (int64_t r = threadIdx.y; c < n.C && r < n.rows; r += 8) {
        const float g = tw_widen(dy[r * n.C + c]);
        by_gamma += g * (tw_widen(x[r * n.C + c]) - n.mean[r]) * n.rstd[r];
        by_beta += g;
    }
    room[0][threadIdx.y][threadIdx.x] = by_gamma;
    room[1][threadIdx.y][threadIdx.x] = by_beta;
    __syncthreads();
    if (threadIdx.y != 0 || c >= n.C)
        return;
    for (int i = 1; i < 8; i++) {
        by_gamma += room[0][i][threadIdx.x];
        by_beta += room[1][i][threadIdx.x];
    }
    dgamma[c] += by_gamma;
    dbeta[c] += by_beta;
}

/* From here on one row per warp, in f32: thread i has channels 4 i .. 4 i + 3 of each of G groups of 128 channels. */

static __device__ inline float warp_sum(float v)
{
    for (int lane = 16; lane > 0; lane /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, lane);
    return v;
}

static __device__ inline int first_channel(int group)
{
    return (group * 32 + (int)threadIdx.x % 32) * 4;
}

/* Loads a row, with zeros after the last channel. */
template <typename T, int G> static __device__ inline void load_row(float v[G][4], const T *x, int C)
{
#pragma unroll
    for (int g = 0; g < G; g++) {
        for (int k = 0; k < 4; k++)
            v[g][k] = 0;
        if (first_channel(g) < C)
            tw_load<T, 4>(v[g], x + first_channel(g));
    }
}

template <typename T, int G> static __global__ void norm_row_of_warp(tw_layer_norm n, T *y, const T *x)
{
    const int64_t row = n.rows - 1 - ((int64_t)blockIdx.x * WARPS + threadIdx.x / 32);
    if (row < 0)
        return;
    float v[G][4], sum = 0, square = 0;
    load_row<T, G>(v, x + row * n.C, n.C);
#pragma unroll
    for (int g = 0; g < G; g++)
        for (int k = 0; k < 4; k++)
            sum += v[g][k];
    const float mean = warp_sum(sum) / (float)n.C;
#pragma unroll
    for (int g = 0; g < G; g++)
        for (int k = 0; k < 4; k++) {
            v[g][k] -= mean;
            square += first_channel(g) < n.C ? v[g][k] * v[g][k] : 0;
        }
    const float rstd = 1 / sqrtf(warp_sum(square) / (float)n.C + (float)n.eps);
#pragma unroll
    for (int g = 0; g < G; g++) {
        const int c = first_channel(g);
        if (c >= n.C)
            continue;
        float gamma[4], beta[4];
        tw_load<float, 4>(gamma, n.gamma + c);
        tw_load<float, 4>(beta, n.beta + c);
        for (int k = 0; k < 4; k++)
            v[g][k] = v[g][k] * rstd * gamma[k] + beta[k];
        tw_store<T, 4>(y + row * n.C + c, v[g]);
    }
    if (threadIdx.x % 32 == 0) {
        n.mean[row] = mean;
        n.rstd[row] = rstd;
    }
}

/* Rows are dealt out to the warps of all blocks; partial [2,blocks,C]: each block's sums for gamma and beta. */
template <typename T, int G>
static __global__ void __launch_bounds__(TW_BLOCK, G <= 4 ? 2 : 1) backward_row_of_warp(tw_layer_norm n, float *partial, T *dx, const T *dy,
                                                                                       const T *x)
{
    __shared__ float room[2][MOST_CHANNELS];
    float by_gamma[G][4] = {{0}}, by_beta[G][4] = {{0}};
    for (int64_t row = n.rows - 1 - ((int64_t)blockIdx.x * WARPS + threadIdx.x / 32); row >= 0; row -= (int64_t)gridDim.x * WARPS) {
        const float mean = n.mean[row], rstd = n.rstd[row];
        float hat[G][4], d[G][4], sum = 0, product = 0;
        load_row<T, G>(hat, x + row * n.C, n.C);
        load_row<T, G>(d, dy + row * n.C, n.C);
        tw_pack<T, 4> before[G]; /* fetched with the others */
#pragma unroll
        for (int g = 0; g < G; g++)
            if (n.adds && first_channel(g) < n.C)
                before[g] = tw_fetch<T, 4>(dx + row * n.C + first_channel(g));
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int c = first_channel(g);
            float gamma[4] = {0};
            if (c < n.C)
                tw_load<float, 4>(gamma, n.gamma + c);
            for (int k = 0; k < 4; k++) {
                hat[g][k] = (hat[g][k] - mean) * rstd;
                by_gamma[g][k] += d[g][k] * hat[g][k];
                by_beta[g][k] += d[g][k];
                d[g][k] *= gamma[k];
                sum += d[g][k];
                product += d[g][k] * hat[g][k];
            }
        }
        const float a = warp_sum(sum) / (float)n.C, b = warp_sum(product) / (float)n.C;
#pragma unroll
        for (int g = 0; g < G; g++) {
            if (first_channel(g) >= n.C)
                continue;
            float to[4] = {0};
            if (n.adds)
                tw_unpack<T, 4>(to, before[g]);
            for (int k = 0; k < 4; k++)
                to[k] += rstd * (d[g][k] - a - hat[g][k] * b);
            tw_store<T, 4>(dx + row * n.C + first_channel(g), to);
        }
    }
    for (int w = 0; w < WARPS; w++) {
        if ((int)threadIdx.x / 32 == w)
#pragma unroll
            for (int g = 0; g < G; g++)
                for (int k = 0; k < 4; k++) {
                    const int c = first_channel(g) + k;
                    room[0][c] = (w > 0 ? room[0][c] : 0) + by_gamma[g][k];
                    room[1][c] = (w > 0 ? room[1][c] : 0) + by_beta[g][k];
                }
        __syncthreads();
    }
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK)
        for (int i = 0; i < 2; i++)
            partial[((int64_t)i * gridDim.x + blockIdx.x) * n.C + c] = room[i][c];
}

/* dgamma and dbeta += the blocks' sums: 32 channels per block, whose 8 threads down take every eighth block's. */
static __global__ void add_partials(float *dgamma, float *dbeta, const float *partial, int blocks, int C)
{
    __shared__ float room[8][32];
    const int c = (int)(blockIdx.x * 32 + threadIdx.x);
    float total = 0;
    for (int i = (int)threadIdx.y; c < C && i < blocks; i += 8)
        total += partial[((int64_t)blockIdx.y * blocks + i) * C + c];
    room[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y != 0 || c >= C)
        return;
    for (int i = 1; i < 8; i++)
        total += room[i][threadIdx.x];
    *(blockIdx.y == 0 ? &dgamma[c] : &dbeta[c]) += total;
}

/* y = x where by > 0 (forward: or by is NaN), else 0. With by = x the ReLU; with x a gradient and by the ReLU's input, its backward pass. */
template <typename T> static __global__ void where_positive(T *y, const T *x, const T *by, bool forward, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const float v = tw_widen(by[i]);
        y[i] = v > 0 || (forward && v != v) ? x[i] : tw_narrow<T>(0);
    }
}

/* Launchers. */

static bool suits_warps(const tw_layer_norm *n)
{
    return n->C % 4 == 0 && n->C <= MOST_CHANNELS;
}

/* Launches the kernel for rows of C channels. */
#define BY_GROUPS(kernel, C, blocks, ...)                                                       \
    do {                                                                                        \
        if ((C) <= 256)                                                                         \
            TW_LAUNCH_BLOCK((kernel<T, 2>), blocks, TW_BLOCK, stream, __VA_ARGS__);             \
        else if ((C) <= 384)                                                                    \
            TW_LAUNCH_BLOCK((kernel<T, 3>), blocks, TW_BLOCK, stream, __VA_ARGS__);             \
        else if ((C) <= 512)                                                                    \
            TW_LAUNCH_BLOCK((kernel<T, 4>), blocks, TW_BLOCK, stream, __VA_ARGS__);             \
        else if ((C) <= 768)                                                                    \
            TW_LAUNCH_BLOCK((kernel<T, 6>), blocks, TW_BLOCK, stream, __VA_ARGS__);             \
        else                                                                                    \
            TW_LAUNCH_BLOCK((kernel<T, 8>), blocks, TW_BLOCK, stream, __VA_ARGS__);             \
    } while (0)

int tw_launch_layer_norm(const tw_layer_norm *n, void *y, const void *x, tw_dtype t, cudaStream_t stream)
{
    const unsigned blocks = (unsigned)tw_pieces(n->rows, WARPS);
    if (suits_warps(n))
        TW_BY_TYPE(t, BY_GROUPS(norm_row_of_warp, n->C, blocks, *n, (T *)y, (const T *)x));
    else
        TW_BY_TYPE(t, TW_LAUNCH_BLOCK((norm_rows<T>), (unsigned)n->rows, TW_BLOCK, stream, *n, (T *)y, (const T *)x));
    return TW_LAUNCHED("layer norm");
}

static unsigned backward_blocks(const tw_layer_norm *n)
{
    const int64_t blocks = tw_pieces(n->rows, WARPS), most = MOST_BLOCKS;
    return (unsigned)(blocks < most ? blocks : most);
}

size_t tw_layer_norm_partials(const tw_layer_norm *n)
{
    return 2 * (size_t)backward_blocks(n) * (size_t)n->C;
}

int tw_launch_layer_norm_backward(const tw_layer_norm *n, float *partial, void *dx, float *dgamma, float *dbeta, const void *dy, const void *x,
                                  tw_dtype t, cudaStream_t stream)
{
    const unsigned across = (unsigned)tw_pieces(n->C, 32), blocks = backward_blocks(n);
    if (suits_warps(n)) {
        TW_BY_TYPE(t, BY_GROUPS(backward_row_of_warp, n->C, blocks, *n, partial, (T *)dx, (const T *)dy, (const T *)x));
        TW_LAUNCH_BLOCK(add_partials, dim3(across, 2, 1), dim3(32, 8, 1), stream, dgamma, dbeta, partial, (int)blocks, n->C);
    } else {
        TW_BY_TYPE(t, TW_LAUNCH_BLOCK((add_params<T>), across, dim3(32, 8, 1), stream, *n, dgamma, dbeta, (const T *)dy, (const T *)x));
        TW_BY_TYPE(t, TW_LAUNCH_BLOCK((backward_rows<T>), (unsigned)n->rows, TW_BLOCK, stream, *n, (T *)dx, (const T *)dy, (const T *)x));
    }
    return TW_LAUNCHED("layer norm backward");
}

int tw_launch_relu(void *y, const void *x, const void *by, bool forward, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH((where_positive<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)x, (const T *)by, forward, n));
    return TW_LAUNCHED("ReLU");
}
