/* LayerNorm, a row a block in f32, and ReLU by itself. Gradients of gamma and beta: a block for 32 channels, rows in a fixed order. */
#include "cuda/kernel.h"

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
    double sum = 0, product = 0; /* of dy gamma, and times the normalised x */
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK) {
        const float g = tw_widen(dy[at + c]) * n.gamma[c];
        sum += (double)g;
        product += (double)(g * (tw_widen(x[at + c]) - mean) * rstd);
    }
    const float a = (float)(tw_block_sum(sum) / n.C), b = (float)(tw_block_sum(product) / n.C);
    for (int c = (int)threadIdx.x; c < n.C; c += TW_BLOCK) {
        const float hat = (tw_widen(x[at + c]) - mean) * rstd;
        dx[at + c] = tw_narrow<T>(rstd * (tw_widen(dy[at + c]) * n.gamma[c] - a - hat * b));
    }
}

/* 32 channels a block, whose 8 threads down take every eighth row. */
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

/* y = x where by > 0, else 0; NaN stays. Of x itself it is the ReLU, of a gradient and the input its derivative. */
template <typename T> static __global__ void where_positive(T *y, const T *x, const T *by, bool forward, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const float v = tw_widen(by[i]);
        y[i] = v > 0 || (forward && v != v) ? x[i] : tw_narrow<T>(0);
    }
}

/* Launchers. */

int tw_launch_layer_norm(const tw_layer_norm *n, void *y, const void *x, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((norm_rows<T>), (unsigned)n->rows, TW_BLOCK, stream, *n, (T *)y, (const T *)x));
    return TW_LAUNCHED("layer norm");
}

int tw_launch_layer_norm_backward(const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy, const void *x, tw_dtype t,
                                  cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((add_params<T>), (unsigned)tw_pieces(n->C, 32), dim3(32, 8, 1), stream, *n, dgamma, dbeta, (const T *)dy,
                                  (const T *)x));
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((backward_rows<T>), (unsigned)n->rows, TW_BLOCK, stream, *n, (T *)dx, (const T *)dy, (const T *)x));
    return TW_LAUNCHED("layer norm backward");
}

int tw_launch_relu(void *y, const void *x, const void *by, bool forward, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH((where_positive<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)x, (const T *)by, forward, n));
    return TW_LAUNCHED("ReLU");
}
