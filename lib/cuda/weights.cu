/* Weights between their plain layout and cuDNN's, channels filled up, biases. */
#include "cuda/kernel.h"

/* Kernels. */

template <typename T> static __global__ void weights_in(T *y, const float *w, int C, int P, int taps, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int c = (int)(i % P);
        const int64_t tap = i / P % taps, k = i / P / taps;
        y[i] = tw_narrow<T>(c < C ? w[(k * C + c) * taps + tap] : 0);
    }
}

template <typename T> static __global__ void weights_out(float *dw, const T *g, int C, int P, int taps, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int c = (int)(i % P);
        const int64_t tap = i / P % taps, k = i / P / taps;
        if (c < C)
            dw[(k * C + c) * taps + tap] += tw_widen(g[i]);
    }
}

/* y [rows,to] from x [rows,from]: the channels that both have, zeros in the others. */
template <typename T> static __global__ void change_channels(T *y, const T *x, int to, int from, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int c = (int)(i % to);
        y[i] = c < from ? x[i / to * from + c] : tw_narrow<T>(0);
    }
}

template <typename T> static __global__ void add_bias(T *y, const float *b, int K, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP)
        y[i] = tw_narrow<T>(tw_widen(y[i]) + b[i % K]);
}

/* 32 columns a block, whose 8 threads down take every eighth row. */
template <typename T> static __global__ void sum_columns(float *db, const T *dy, int64_t rows, int K)
{
    __shared__ float room[8][32];
    const int column = (int)(blockIdx.x * 32 + threadIdx.x);
    float total = 0;
    for (int64_t r = threadIdx.y; column < K && r < rows; r += 8)
        total += tw_widen(dy[r * K + column]);
    room[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y != 0 || column >= K)
        return;
    for (int i = 1; i < 8; i++)
        total += room[i][threadIdx.x];
    db[column] += total;
}

/* Launchers. */

int tw_launch_weights_in(void *y, const float *w, int K, int C, int P, int taps, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)K * P * taps;
    TW_BY_TYPE(t, TW_LAUNCH((weights_in<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, w, C, P, taps, n));
    return TW_LAUNCHED("weights");
}

int tw_launch_weights_out(float *dw, const void *g, int K, int C, int P, int taps, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)K * P * taps;
    TW_BY_TYPE(t, TW_LAUNCH((weights_out<T>), tw_blocks(n), TW_BLOCK, stream, dw, (const T *)g, C, P, taps, n));
    return TW_LAUNCHED("weight gradient");
}

static int change(void *y, const void *x, int64_t rows, int to, int from, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = rows * to;
    TW_BY_TYPE(t, TW_LAUNCH((change_channels<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)x, to, from, n));
    return TW_LAUNCHED("channels");
}

int tw_launch_pad(void *y, const void *x, int64_t rows, int C, int P, tw_dtype t, cudaStream_t stream)
{
    return change(y, x, rows, P, C, t, stream);
}

int tw_launch_unpad(void *y, const void *x, int64_t rows, int C, int P, tw_dtype t, cudaStream_t stream)
{
    return change(y, x, rows, C, P, t, stream);
}

int tw_launch_bias(void *y, const float *b, int64_t rows, int K, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = rows * K;
    TW_BY_TYPE(t, TW_LAUNCH((add_bias<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, b, K, n));
    return TW_LAUNCHED("bias");
}

int tw_launch_bias_gradient(float *db, const void *dy, int64_t rows, int K, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((sum_columns<T>), (unsigned)tw_pieces(K, 32), dim3(32, 8, 1), stream, db, (const T *)dy, rows, K));
    return TW_LAUNCHED("bias gradient");
}
