/* What the norms' kernels share, for .cu files only. A block has X threads across the channels (V channels each) and Y down the rows, and keeps its
 * channels for all its rows, so that per-channel parameters are read once. Sums: each thread's rows in order, then a block's threads in order,
 * then the blocks in order, so that the bits depend on the shape only. */
#ifndef TW_CUDA_NORM_ROWS_H
#define TW_CUDA_NORM_ROWS_H

#include "cuda/kernel.h"
#include "nn/formula.h"

static __device__ inline int tw_my_channel(int V)
{
    return (int)(blockIdx.x * blockDim.x + threadIdx.x) * V;
}

/* Sums s and q over the block's threads down the rows, into partial[blockIdx.y][2][C]. */
template <int V> static __device__ inline void tw_sum_columns(double *partial, const double s[V], const double q[V], int C)
{
    __shared__ double room[TW_BLOCK * V];
    const int width = (int)blockDim.x * V, own = (int)threadIdx.x * V, t = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    for (int which = 0; which < 2; which++) {
        __syncthreads();
        for (int k = 0; k < V; k++)
            room[(int)threadIdx.y * width + own + k] = which == 0 ? s[k] : q[k];
        __syncthreads();
        const int c = (int)blockIdx.x * width + t;
        if (t >= width || c >= C)
            continue;
        double total = 0;
        for (int y = 0; y < (int)blockDim.y; y++)
            total += room[y * width + t];
        partial[((int64_t)blockIdx.y * 2 + which) * C + c] = total;
    }
}

/* Running sums of g and g v. 16-bit values, whose products are exact in f32, are added in f32 for a few rows, until settle(); f32 values go to f64
 * at once. */
template <typename T, int V> struct tw_sums_of {
    double s[V], q[V];
    float fs[V], fq[V];

    __device__ inline void clear()
    {
        for (int k = 0; k < V; k++)
            s[k] = q[k] = 0, fs[k] = fq[k] = 0;
    }
    /* g and g times v */
    __device__ inline void add(const float g[V], const float v[V])
    {
#pragma unroll
        for (int k = 0; k < V; k++) {
            if (sizeof(T) == 2) {
                fs[k] += g[k];
                fq[k] += g[k] * v[k];
            } else {
                s[k] += (double)g[k];
                q[k] += (double)g[k] * (double)v[k];
            }
        }
    }
    __device__ inline void settle()
    {
#pragma unroll
        for (int k = 0; k < V; k++) {
            s[k] += (double)fs[k];
            q[k] += (double)fq[k];
            fs[k] = fq[k] = 0;
        }
    }
};

template <int N> struct tw_number {
    enum { ROWS = N };
};

/* The order in which a pass goes over its rows, so that the next pass first reads what is still in the L2 cache. Convolutions and products begin at
 * the first row; hence a norm's last pass before them begins at the last. */
typedef enum { FROM_FIRST, FROM_LAST } tw_order;

/* Calls body(r, n), n a tw_number, for a thread's rows r, r + blockDim.y, ... (n of them), ROWS at a time: body issues all loads before it uses the
 * first, so that enough are in flight to saturate memory. In each round all blocks take adjacent rows; the rest after the last full round is
 * done with ROWS halved, again and again. */
template <int ROWS, tw_order ORDER, typename F> static __device__ inline void tw_down_rows(int64_t rows, const F &body, int64_t first = 0)
{
    const int64_t size = ROWS * (int64_t)blockDim.y, round = size * gridDim.y, rounds = (rows - first) / round;
    const int64_t mine = first + blockIdx.y * size + threadIdx.y;
    for (int64_t i = 0; i < rounds; i++)
        body(mine + (ORDER == FROM_LAST ? rounds - 1 - i : i) * round, tw_number<ROWS>());
    if constexpr (ROWS > 1)
        tw_down_rows<ROWS / 2, ORDER>(rows, body, first + rounds * round);
    else if (mine + rounds * round < rows)
        body(mine + rounds * round, tw_number<1>());
}

/* Loads that a thread has in flight, of all its operands together. */
enum { TW_AT_ONCE = 8 };

/* Resident blocks per multiprocessor, limited by registers: of kernels with sums, of others. */
enum { TW_WITH_SUMS = 2, TW_PLAIN = 3 };

/* V channels of a norm from c on: y = (x - mean) scale + beta. The mean is subtracted first, for precision: scale is large if a channel hardly
 * varies. */
template <int V> struct tw_affine_of {
    float mean[V], scale[V], beta[V];

    __device__ inline tw_affine_of(const tw_norm &n, int c)
    {
#pragma unroll
        for (int k = 0; k < V; k++) {
            mean[k] = n.mean[c + k];
            scale[k] = n.rstd[c + k] * (n.gamma != NULL ? n.gamma[c + k] : 1);
            beta[k] = n.beta != NULL ? n.beta[c + k] : 0;
        }
    }
    __device__ inline float rise(float x, int k) const
    {
        return (x - mean[k]) * scale[k];
    }
    __device__ inline float of(float x, int k) const
    {
        return rise(x, k) + beta[k];
    }
};

/* The backward pass of V channels: dx = scale g + b (x - mean) + e, g: the gradient of the norm's result, masked. */
template <int V> struct tw_slope_of {
    tw_affine_of<V> to;
    float b[V], e[V];

    __device__ inline tw_slope_of(const tw_norm &n, int c) : to(n, c)
    {
#pragma unroll
        for (int k = 0; k < V; k++) {
            const int i = c + k;
            const double rstd = (double)n.rstd[i], scale = rstd * (n.gamma != NULL ? (double)n.gamma[i] : 1), count = (double)n.count;
            b[k] = (float)(-scale * rstd * tw_norm_normalised(n.sums[i], n.sums[n.C + i], n.mean[i], n.rstd[i]) / count);
            e[k] = (float)(-scale * n.sums[i] / count);
        }
    }
    __device__ inline float of(float g, float x, int k) const
    {
        return to.scale[k] * g + (b[k] * (x - to.mean[k]) + e[k]);
    }
};

/* Grids are sized for the multiprocessors of an H100, whatever the device, so that they, and the order of sums, depend on the shape only. */
enum { TW_MULTIPROCESSORS = 132 };

typedef struct {
    int V;
    dim3 grid, block;
} tw_cut;

/* Channels per thread. */
static inline int tw_width(int C, tw_dtype t)
{
    const int wide = (int)(16 / tw_dtype_size(t));
    return C % wide == 0 ? wide : 1;
}

static inline tw_cut tw_cut_rows(int64_t rows, int C, tw_dtype t, int each)
{
    tw_cut k;
    k.V = tw_width(C, t);
    const int across = C / k.V;
    unsigned X = 8;
    while (X < 32 && (int)X < across)
        X *= 2;
    k.block = dim3(X, TW_BLOCK / X, 1);
    const unsigned columns = (unsigned)tw_pieces(across, X);
    int64_t down = tw_pieces(rows, (int64_t)k.block.y * 4);
    const unsigned blocks = (unsigned)(TW_MULTIPROCESSORS * each);
    const int64_t most = columns < blocks ? blocks / columns : 1;
    k.grid = dim3(columns, (unsigned)(down < most ? down : most), 1);
    return k;
}

/* Runs launch for the type t and the width of the tw_cut k (a variable in scope): launch(V, ...), in which T is the type. */
#define TW_BY_SHAPE(launch, t, ...)                                     \
    TW_BY_TYPE(t, do {                                               \
        if (k.V > 1)                                                 \
            launch(tw_wide<T>::N, __VA_ARGS__);                      \
        else                                                         \
            launch(1, __VA_ARGS__);                                  \
    } while (0))

#endif
