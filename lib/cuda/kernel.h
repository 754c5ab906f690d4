/* What the kernels share: access to activations of any type, the division of work, launches. For .cu files only. TW_LAUNCH starts a kernel whose
 * threads are independent, TW_LAUNCH_BLOCK one whose blocks synchronise; the difference matters only to tests/emulate, which runs both on
 * the CPU. */
#ifndef TW_CUDA_KERNEL_H
#define TW_CUDA_KERNEL_H

#include "cuda/launch.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <string.h>
#include <type_traits>

#ifdef TW_EMULATED
#include "emulate.h"
#else
#define TW_LAUNCH(kernel, grid, block, stream, ...) kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__)
#define TW_LAUNCH_BLOCK TW_LAUNCH
#endif

/* After a launch: 0, or -1 and tw_error(). */
#define TW_LAUNCHED(what) tw_cuda_check(cudaGetLastError(), what)

/* Runs the call with T defined as the type of the activations. */
#define TW_BY_TYPE(type, call)          \
    do {                                \
        if ((type) == TW_F32) {         \
            typedef float T;            \
            call;                       \
        } else if ((type) == TW_BF16) { \
            typedef __nv_bfloat16 T;    \
            call;                       \
        } else {                        \
            typedef __half T;           \
            call;                       \
        }                               \
    } while (0)

static __device__ inline float tw_widen(float v)
{
    return v;
}

static __device__ inline float tw_widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

static __device__ inline float tw_widen(__half v)
{
    return __half2float(v);
}

template <typename T> static __device__ inline T tw_narrow(float v);

template <> __device__ inline float tw_narrow<float>(float v)
{
    return v;
}

template <> __device__ inline __nv_bfloat16 tw_narrow<__nv_bfloat16>(float v)
{
    return __float2bfloat16_rn(v);
}

template <> __device__ inline __half tw_narrow<__half>(float v)
{
    return __float2half_rn(v);
}

/* V elements as in memory; V > 1: aligned, 16 bytes at most. Fetched first and unpacked later, so that several loads are in flight. */
template <typename T, int V> struct alignas(V * sizeof(T)) tw_pack {
    T of[V];
};

template <typename T, int V> static __device__ inline tw_pack<T, V> tw_fetch(const T *p)
{
    return *reinterpret_cast<const tw_pack<T, V> *>(p);
}

/* The same for data that is not read again soon: a streaming load, evicted first from the L2 cache, so that what is written stays there for the
 * next kernel. */
template <typename T, int V> static __device__ inline tw_pack<T, V> tw_fetch_last(const T *p)
{
#ifdef TW_EMULATED
    return tw_fetch<T, V>(p);
#else
    enum { BYTES = sizeof(tw_pack<T, V>) };
    using word = std::conditional_t<BYTES == 16, uint4, std::conditional_t<BYTES == 8, uint2, std::conditional_t<BYTES == 4, uint32_t, uint16_t>>>;
    static_assert(sizeof(word) == BYTES, "as wide as a load");
    const word w = __ldcs(reinterpret_cast<const word *>(p));
    tw_pack<T, V> q;
    memcpy(&q, &w, sizeof q);
    return q;
#endif
}

template <typename T, int V> static __device__ inline void tw_unpack(float v[V], const tw_pack<T, V> &q)
{
#pragma unroll
    for (int i = 0; i < V; i++)
        v[i] = tw_widen(q.of[i]);
}

template <typename T, int V> static __device__ inline void tw_load(float v[V], const T *p)
{
    tw_unpack<T, V>(v, tw_fetch<T, V>(p));
}

template <typename T, int V> static __device__ inline void tw_store(T *p, const float v[V])
{
    tw_pack<T, V> q;
#pragma unroll
    for (int i = 0; i < V; i++)
        q.of[i] = tw_narrow<T>(v[i]);
    if (sizeof q == 4 && V > 1) { /* nvcc would emit two stores */
        uint32_t word;
        memcpy(&word, &q, sizeof word);
        *reinterpret_cast<uint32_t *>(p) = word;
    } else
        *reinterpret_cast<tw_pack<T, V> *>(p) = q;
}

/* V f32 elements, for kernels whose V is chosen for another type: four at a time if V >= 4. */
template <int V> static __device__ inline void tw_load_f32(float v[V], const float *p)
{
#pragma unroll
    for (int i = 0; i < V; i += V < 4 ? 1 : 4)
        tw_load<float, (V < 4 ? 1 : 4)>(v + i, p + i);
}

template <int V> static __device__ inline void tw_store_f32(float *p, const float v[V])
{
#pragma unroll
    for (int i = 0; i < V; i += V < 4 ? 1 : 4)
        tw_store<float, (V < 4 ? 1 : 4)>(p + i, v + i);
}

/* N: elements of T in 16 bytes. */
template <typename T> struct tw_wide {
    enum { N = 16 / sizeof(T) };
};

/* 2^x, log2 x and 1 / x by one instruction each, to a few ulp (log2 near 1: absolute error 2e-7); denormals are flushed to 0. */
#define TW_LOG2_E 1.44269504f
#define TW_LN_2 0.693147181f

#ifdef TW_EMULATED
#define TW_QUICK(instruction, otherwise, x) (otherwise)
#else
#define TW_QUICK(instruction, otherwise, x) ({ float y; asm(instruction ".approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); y; })
#endif

static __device__ inline float tw_quick_exp2(float x)
{
    return TW_QUICK("ex2", exp2f(x), x);
}

static __device__ inline float tw_quick_log2(float x)
{
    return TW_QUICK("lg2", log2f(x), x);
}

static __device__ inline float tw_quick_inverse(float x)
{
    return TW_QUICK("rcp", 1 / x, x);
}

enum { TW_BLOCK = 256 }; /* threads of a block */

static inline int64_t tw_pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* Number of blocks for n threads in a grid-stride loop. */
static inline unsigned tw_blocks(int64_t n)
{
    const int64_t blocks = tw_pieces(n, TW_BLOCK);
    return (unsigned)(blocks < 1 ? 1 : blocks < 1 << 14 ? blocks : 1 << 14);
}

#define TW_GRID_FROM ((int64_t)blockIdx.x * blockDim.x + threadIdx.x)
#define TW_GRID_STEP ((int64_t)gridDim.x * blockDim.x)

/* The sum of v over the threads of a block of TW_BLOCK, in a fixed order, returned to every thread. All threads must call it. */
static __device__ inline double tw_block_sum(double v)
{
    __shared__ double part[TW_BLOCK / 32];
    __syncthreads();
    for (int lane = 16; lane > 0; lane /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, lane);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    double total = 0;
    for (int i = 0; i < TW_BLOCK / 32; i++)
        total += part[i];
    return total;
}

#endif
