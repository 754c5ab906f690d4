/* A vision transformer's tokens from its patches, and the features read from the last tokens. Sums over pictures are divided into pieces of a size
 * that does not depend on the device. */
#include "cuda/kernel.h"

enum { PICTURES = 64 }; /* of a piece */

/* Kernels. */

/* base [1+patches,C]: what is added to the tokens of every picture. */
static __global__ void make_base(tw_tokens k, float *base, int64_t n)
{
    const int cells = k.grid * k.grid;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int c = (int)(i % k.C);
        const int64_t token = i / k.C;
        float v = token == 0 ? k.cls[c] : k.bias[c];
        if (token == 0 || k.resize == NULL)
            v += k.pos[i];
        for (int cell = 0; token > 0 && k.resize != NULL && cell < cells; cell++)
            v += k.resize[(token - 1) * cells + cell] * k.pos[(int64_t)(1 + cell) * k.C + c];
        base[i] = v;
    }
}

/* A thread has V channels of a token of a picture. */
template <typename T, int V> static __global__ void place_patches(T *y, const T *x, const float *base, int tokens, int C, int64_t n)
{
    const int64_t all = (int64_t)tokens * C;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t picture = i * V / all, at = i * V % all;
        float v[V] = {0};
        if (at >= C)
            tw_load<T, V>(v, x + i * V - (picture + 1) * C);
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] += base[at + k];
        tw_store<T, V>(y + i * V, v);
    }
}

/* A thread has V channels of a token in PICTURES pictures: writes their sum to partial [pieces,1+patches,C] and the patches' gradients to dx. */
template <typename T, int V> static __global__ void sum_pictures(float *partial, T *dx, const T *dy, int N, int tokens, int C, int64_t n)
{
    const int64_t all = (int64_t)tokens * C;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t at = i * V % all;
        const int first = (int)(i * V / all) * PICTURES, last = first + PICTURES < N ? first + PICTURES : N;
        float sum[V] = {0};
        for (int p = first; p < last; p++) {
            float v[V];
            tw_load<T, V>(v, dy + p * all + at);
#pragma unroll
            for (int k = 0; k < V; k++)
                sum[k] += v[k];
            if (at >= C)
                tw_store<T, V>(dx + p * (all - C) + at - C, v);
        }
#pragma unroll
        for (int k = 0; k < V; k++)
            partial[i * V + k] = sum[k];
    }
}

/* Adds all pieces to the first one. */
static __global__ void sum_pieces(float *partial, int pieces, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        float v = partial[i];
        for (int p = 1; p < pieces; p++)
            v += partial[p * n + i];
        partial[i] = v;
    }
}

/* Adds the gradients of the positions, of the CLS token and of the bias, from the tokens' sums [1+patches,C]. */
static __global__ void add_gradients(tw_tokens k, float *dbias, float *dcls, float *dpos, const float *sum, int64_t n)
{
    const int cells = k.grid * k.grid;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int c = (int)(i % k.C), row = (int)(i / k.C);
        if (row == cells + 1)
            dcls[c] += sum[c];
        else if (row <= cells && (row == 0 || k.resize == NULL))
            dpos[i] += sum[i];
        else {
            float v = 0;
            for (int t = 0; t < k.patches; t++)
                v += (row <= cells ? k.resize[(int64_t)t * cells + row - 1] : 1) * sum[(int64_t)(1 + t) * k.C + c];
            *(row <= cells ? &dpos[i] : &dbias[c]) += v;
        }
    }
}

template <typename T, int V> static __global__ void mean_of_tokens(T *y, const T *x, int tokens, int C, int first, int count, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t picture = i * V / C, c = i * V % C;
        float sum[V] = {0};
        for (int t = first; t < first + count; t++) {
            float v[V];
            tw_load<T, V>(v, x + (picture * tokens + t) * C + c);
#pragma unroll
            for (int k = 0; k < V; k++)
                sum[k] += v[k];
        }
#pragma unroll
        for (int k = 0; k < V; k++)
            sum[k] /= (float)count;
        tw_store<T, V>(y + i * V, sum);
    }
}

template <typename T, int V> static __global__ void spread_over_tokens(T *dx, const T *dy, int tokens, int C, int first, int count, int64_t n)
{
    const float scale = 1 / (float)count;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t row = i * V / C;
        const int t = (int)(row % tokens);
        float v[V] = {0};
        if (t >= first && t < first + count)
            tw_load<T, V>(v, dy + row / tokens * C + i * V % C);
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] *= scale;
        tw_store<T, V>(dx + i * V, v);
    }
}

template <typename T> static __global__ void put_beside(T *y, const T *a, const T *b, int A, int B, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t row = i / (A + B), c = i % (A + B);
        y[i] = c < A ? a[row * A + c] : b[row * B + c - A];
    }
}

/* Launchers. */

/* Launches the kernel with a thread per V of n elements; C: length of their rows. */
#define BY_WIDTH(kernel, n, C, ...)                                                                                        \
    do {                                                                                                                   \
        enum { W = tw_wide<T>::N };                                                                                        \
        if ((C) % W == 0)                                                                                                  \
            TW_LAUNCH((kernel<T, W>), tw_blocks((n) / W), TW_BLOCK, stream, __VA_ARGS__, (n) / W);                         \
        else                                                                                                               \
            TW_LAUNCH((kernel<T, 1>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                                     \
    } while (0)

int tw_launch_tokens(const tw_tokens *k, float *base, void *y, const void *x, tw_dtype t, cudaStream_t stream)
{
    const int tokens = 1 + k->patches;
    const int64_t own = (int64_t)tokens * k->C, all = k->N * own;
    TW_LAUNCH(make_base, tw_blocks(own), TW_BLOCK, stream, *k, base, own);
    TW_BY_TYPE(t, BY_WIDTH(place_patches, all, k->C, (T *)y, (const T *)x, base, tokens, k->C));
    return TW_LAUNCHED("tokens");
}

static int pieces_of(const tw_tokens *k)
{
    return (int)tw_pieces(k->N, PICTURES);
}

size_t tw_tokens_partials(const tw_tokens *k)
{
    return (size_t)pieces_of(k) * (size_t)(1 + k->patches) * (size_t)k->C;
}

int tw_launch_tokens_backward(const tw_tokens *k, float *partial, void *dx, float *dbias, float *dcls, float *dpos, const void *dy, tw_dtype t,
                              cudaStream_t stream)
{
    const int tokens = 1 + k->patches, pieces = pieces_of(k);
    const int64_t own = (int64_t)tokens * k->C, all = pieces * own, gradients = (int64_t)(3 + k->grid * k->grid) * k->C;
    TW_BY_TYPE(t, BY_WIDTH(sum_pictures, all, k->C, partial, (T *)dx, (const T *)dy, k->N, tokens, k->C));
    TW_LAUNCH(sum_pieces, tw_blocks(own), TW_BLOCK, stream, partial, pieces, own);
    TW_LAUNCH(add_gradients, tw_blocks(gradients), TW_BLOCK, stream, *k, dbias, dcls, dpos, partial, gradients);
    return TW_LAUNCHED("tokens backward");
}

int tw_launch_token_mean(void *y, const void *x, int N, int tokens, int C, int first, int count, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)N * C;
    TW_BY_TYPE(t, BY_WIDTH(mean_of_tokens, n, C, (T *)y, (const T *)x, tokens, C, first, count));
    return TW_LAUNCHED("token mean");
}

int tw_launch_token_mean_backward(void *dx, const void *dy, int N, int tokens, int C, int first, int count, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)N * tokens * C;
    TW_BY_TYPE(t, BY_WIDTH(spread_over_tokens, n, C, (T *)dx, (const T *)dy, tokens, C, first, count));
    return TW_LAUNCHED("token mean backward");
}

int tw_launch_join(void *y, const void *a, const void *b, int N, int A, int B, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)N * (A + B);
    TW_BY_TYPE(t, TW_LAUNCH((put_beside<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)a, (const T *)b, A, B, n));
    return TW_LAUNCHED("join");
}
