/* Attention where cuDNN has none: a thread computes one row of the T x T scores (for the gradients of keys and values, one column), walking along
 * it in order, in f32. Threads of a warp share a head, so they read the same keys and values. */
#include "cuda/kernel.h"

enum { MOST_WIDTH = TW_ATTENTION_WIDTH, THREADS = 128 };

/* Kernels. W: the width where it is known when compiled, else 0. */

/* Offset of token t of a head in [N,T,3,heads,width] and in [N,T,heads,width], and the strides between tokens, in elements. */
struct place {
    int64_t qkv, y, C;
    int t;
};

static __device__ inline place place_of(const tw_attention &a, int64_t row)
{
    const int64_t C = (int64_t)a.heads * a.width, n = row / a.T / a.heads, head = row / a.T % a.heads;
    return {n * a.T * 3 * C + head * a.width, n * a.T * C + head * a.width, C, (int)(row % a.T)};
}

template <typename T> static __device__ inline void read(float *to, const T *x, int width, float scale)
{
#pragma unroll
    for (int c = 0; c < width; c++)
        to[c] = scale * tw_widen(x[c]);
}

template <typename T> static __device__ inline void write(T *x, const float *from, int width, float scale)
{
#pragma unroll
    for (int c = 0; c < width; c++)
        x[c] = tw_narrow<T>(scale * from[c]);
}

template <typename T> static __device__ inline float dot(const float *a, const T *b, int width)
{
    float sum = 0;
#pragma unroll
    for (int c = 0; c < width; c++)
        sum += a[c] * tw_widen(b[c]);
    return sum;
}

template <typename T> static __device__ inline void add_scaled(float *to, float scale, const T *x, int width)
{
#pragma unroll
    for (int c = 0; c < width; c++)
        to[c] += scale * tw_widen(x[c]);
}

template <typename T, int W> static __global__ void attend(tw_attention a, T *y, const T *qkv, float scale, int64_t n)
{
    const int width = W > 0 ? W : a.width;
    float q[W > 0 ? W : MOST_WIDTH], sum[W > 0 ? W : MOST_WIDTH];
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const place at = place_of(a, i);
        const T *k = qkv + at.qkv + at.C, *v = k + at.C;
        float most = -INFINITY, total = 0;
        read(q, qkv + at.qkv + at.t * 3 * at.C, width, scale);
        for (int c = 0; c < width; c++)
            sum[c] = 0;
        for (int j = 0; j < a.T; j++) {
            const float s = dot(q, k + j * 3 * at.C, width);
            if (s > most) {
                const float shrink = expf(most - s);
                most = s;
                total *= shrink;
#pragma unroll
                for (int c = 0; c < width; c++)
                    sum[c] *= shrink;
            }
            const float p = expf(s - most);
            total += p;
            add_scaled(sum, p, v + j * 3 * at.C, width);
        }
        write(y + at.y + at.t * at.C, sum, width, 1 / total);
        if (a.train)
            a.log_sum[i] = most + logf(total);
    }
}

/* The gradient of the queries; also rows: the sum of dy y of each token. */
template <typename T, int W> static __global__ void slope_of_queries(tw_attention a, float *rows, T *dqkv, const T *dy, const T *y, const T *qkv,
                                                                     float scale, int64_t n)
{
    const int width = W > 0 ? W : a.width;
    float q[W > 0 ? W : MOST_WIDTH], g[W > 0 ? W : MOST_WIDTH], dq[W > 0 ? W : MOST_WIDTH];
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const place at = place_of(a, i);
        const T *k = qkv + at.qkv + at.C, *v = k + at.C;
        read(q, qkv + at.qkv + at.t * 3 * at.C, width, scale);
        read(g, dy + at.y + at.t * at.C, width, 1);
        const float row = dot(g, y + at.y + at.t * at.C, width), log_sum = a.log_sum[i];
        rows[i] = row;
        for (int c = 0; c < width; c++)
            dq[c] = 0;
        for (int j = 0; j < a.T; j++) {
            const float p = expf(dot(q, k + j * 3 * at.C, width) - log_sum);
            add_scaled(dq, p * (dot(g, v + j * 3 * at.C, width) - row), k + j * 3 * at.C, width);
        }
        write(dqkv + at.qkv + at.t * 3 * at.C, dq, width, scale);
    }
}

template <typename T, int W> static __global__ void slope_of_keys(tw_attention a, const float *rows, T *dqkv, const T *dy, const T *qkv, float scale,
                                                                  int64_t n)
{
    const int width = W > 0 ? W : a.width;
    float k[W > 0 ? W : MOST_WIDTH], v[W > 0 ? W : MOST_WIDTH], dk[W > 0 ? W : MOST_WIDTH], dv[W > 0 ? W : MOST_WIDTH];
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const place at = place_of(a, i);
        const T *q = qkv + at.qkv, *g = dy + at.y;
        const int64_t own = at.qkv + at.t * 3 * at.C + at.C, first = i - at.t;
        read(k, qkv + own, width, scale);
        read(v, qkv + own + at.C, width, 1);
        for (int c = 0; c < width; c++)
            dk[c] = dv[c] = 0;
        for (int j = 0; j < a.T; j++) {
            const float p = expf(dot(k, q + j * 3 * at.C, width) - a.log_sum[first + j]);
            add_scaled(dk, p * (dot(v, g + j * at.C, width) - rows[first + j]), q + j * 3 * at.C, width);
            add_scaled(dv, p, g + j * at.C, width);
        }
        write(dqkv + own, dk, width, scale);
        write(dqkv + own + at.C, dv, width, 1);
    }
}

/* Launchers. */

static unsigned blocks_of(int64_t n)
{
    const int64_t blocks = tw_pieces(n, THREADS), most = 1 << 20;
    return (unsigned)(blocks < most ? blocks : most);
}

/* Vision transformers' heads are 64 wide. */
#define BY_WIDTH(kernel, ...)                                                              \
    do {                                                                                   \
        if (a->width == 64)                                                                \
            TW_LAUNCH((kernel<T, 64>), blocks_of(n), THREADS, stream, *a, __VA_ARGS__, n); \
        else                                                                               \
            TW_LAUNCH((kernel<T, 0>), blocks_of(n), THREADS, stream, *a, __VA_ARGS__, n);  \
    } while (0)

int tw_launch_attention(const tw_attention *a, void *y, const void *qkv, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)a->N * a->heads * a->T;
    const float scale = 1 / sqrtf((float)a->width);
    TW_BY_TYPE(t, BY_WIDTH(attend, (T *)y, (const T *)qkv, scale));
    return TW_LAUNCHED("attention");
}

int tw_launch_attention_backward(const tw_attention *a, float *rows, void *dqkv, const void *dy, const void *y, const void *qkv, tw_dtype t,
                                 cudaStream_t stream)
{
    const int64_t n = (int64_t)a->N * a->heads * a->T;
    const float scale = 1 / sqrtf((float)a->width);
    TW_BY_TYPE(t, BY_WIDTH(slope_of_queries, rows, (T *)dqkv, (const T *)dy, (const T *)y, (const T *)qkv, scale));
    TW_BY_TYPE(t, BY_WIDTH(slope_of_keys, rows, (T *)dqkv, (const T *)dy, (const T *)qkv, scale));
    return TW_LAUNCHED("attention backward");
}
