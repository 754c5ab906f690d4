/* Elementwise operations: conversion, normalisation of pictures, addition, GELU. */
#include "cuda/kernel.h"

#include "nn/formula.h"

/* Kernels. n: elements, a multiple of V. */

template <typename T, int V> static __global__ void convert_from(T *y, const float *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float v[V];
        tw_load_f32<V>(v, x + i);
        tw_store<T, V>(y + i, v);
    }
}

template <typename T, int V> static __global__ void convert_to(float *y, const T *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float v[V];
        tw_load<T, V>(v, x + i);
        tw_store_f32<V>(y + i, v);
    }
}

/* Every block first computes the table of the 256 levels of three colours. */
template <typename T, int V> static __global__ void normalise(T *y, const uint8_t *x, int64_t n)
{
    __shared__ float level[3 * 256];
    for (int c = 0; c < 3; c++)
        level[256 * c + threadIdx.x] = tw_picture_level((int)threadIdx.x, c);
    __syncthreads();
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        const tw_pack<uint8_t, V> in = tw_fetch<uint8_t, V>(x + i);
        const int c = (int)(i % 3);
        float v[V];
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] = level[256 * ((c + k) % 3) + in.of[k]];
        tw_store<T, V>(y + i, v);
    }
}

template <typename T, int V> static __global__ void add_up(T *y, const T *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float a[V], b[V];
        tw_load<T, V>(a, y + i);
        tw_load<T, V>(b, x + i);
#pragma unroll
        for (int k = 0; k < V; k++)
            a[k] += b[k];
        tw_store<T, V>(y + i, a);
    }
}

template <typename T, int V> static __global__ void gelu(T *y, const T *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float v[V];
        tw_load<T, V>(v, x + i);
#pragma unroll
        for (int k = 0; k < V; k++) {
            float density;
            v[k] *= tw_cdf_and_density(v[k], expf(-0.5f * v[k] * v[k]), &density);
        }
        tw_store<T, V>(y + i, v);
    }
}

template <typename T, int V> static __global__ void gelu_slope(T *dx, const T *dy, const T *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float v[V], g[V];
        tw_load<T, V>(v, x + i);
        tw_load<T, V>(g, dy + i);
#pragma unroll
        for (int k = 0; k < V; k++) {
            float density;
            const float cdf = tw_cdf_and_density(v[k], expf(-0.5f * v[k] * v[k]), &density);
            g[k] *= cdf + v[k] * density;
        }
        tw_store<T, V>(dx + i, g);
    }
}

/* Launchers. */

/* Launches the kernel, with 16 bytes per thread if n is divisible by that. */
#define BY_WIDTH(kernel, ...)                                                                                     \
    do {                                                                                                          \
        enum { W = tw_wide<T>::N };                                                                               \
        if (n % W == 0)                                                                                           \
            TW_LAUNCH((kernel<T, W>), tw_blocks(n / W), TW_BLOCK, stream, __VA_ARGS__);                           \
        else                                                                                                      \
            TW_LAUNCH((kernel<T, 1>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__);                               \
    } while (0)

int tw_launch_from_f32(void *y, const float *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(convert_from, (T *)y, x, n));
    return TW_LAUNCHED("from f32");
}

int tw_launch_to_f32(float *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(convert_to, y, (const T *)x, n));
    return TW_LAUNCHED("to f32");
}

int tw_launch_pictures(void *y, const uint8_t *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, do {
        enum { W = tw_wide<T>::N };
        if (n % W == 0 && (uintptr_t)x % W == 0)
            TW_LAUNCH_BLOCK((normalise<T, W>), tw_blocks(tw_pieces(n, 4 * W)), TW_BLOCK, stream, (T *)y, x, n);
        else
            TW_LAUNCH_BLOCK((normalise<T, 1>), tw_blocks(tw_pieces(n, 16)), TW_BLOCK, stream, (T *)y, x, n);
    } while (0));
    return TW_LAUNCHED("pictures");
}

int tw_launch_add(void *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(add_up, (T *)y, (const T *)x, n));
    return TW_LAUNCHED("add");
}

int tw_launch_gelu(void *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(gelu, (T *)y, (const T *)x, n));
    return TW_LAUNCHED("GELU");
}

int tw_launch_gelu_backward(void *dx, const void *dy, const void *x, int64_t n, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(gelu_slope, (T *)dx, (const T *)dy, (const T *)x, n));
    return TW_LAUNCHED("GELU backward");
}
