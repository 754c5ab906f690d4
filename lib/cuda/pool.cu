/* Max pooling and global average pooling. */
#include "cuda/kernel.h"

/* Kernels: a thread has V channels of one pixel. I: type of indices; 32-bit divisions cost a third of 64-bit ones. */

template <typename I> struct pixel {
    int c, w, h;
    I n;
};

/* The i-th group of V channels of [N,H,W,C]. */
template <typename I> static __device__ inline pixel<I> pixel_at(I i, int H, int W, int C, int V)
{
    const I across = (I)(C / V), p = i / across, q = p / (I)W;
    return {(int)(i % across) * V, (int)(p % (I)W), (int)(q % (I)H), q / (I)H};
}

/* Whether windows are those of ResNets, 3 x 3 with stride 2 and padding 1, for which there are kernels with constants. */
static bool usual(const tw_pool_shape *s)
{
    return s->size == 3 && s->stride == 2 && s->pad == 1;
}

template <bool USUAL> static __device__ inline tw_pool_shape with_windows(tw_pool_shape s)
{
    if (USUAL) {
        s.size = 3;
        s.stride = 2;
        s.pad = 1;
    }
    return s;
}

template <typename T, int V, typename I, bool USUAL>
static __global__ void max_of_windows(tw_pool_shape shape, T *y, uint8_t *pick, const T *x, int64_t n)
{
    const tw_pool_shape s = with_windows<USUAL>(shape);
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const pixel<I> o = pixel_at<I>((I)i, s.OH, s.OW, s.C, V);
        float best[V] = {0};
        tw_pack<uint8_t, V> which = {};
        bool first = true;
#pragma unroll
        for (int tap = 0; tap < s.size * s.size; tap++) {
            const int h = o.h * s.stride - s.pad + tap / s.size, w = o.w * s.stride - s.pad + tap % s.size;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W)
                continue;
            float v[V];
            tw_load<T, V>(v, x + ((o.n * (I)s.H + (I)h) * (I)s.W + (I)w) * (I)s.C + (I)o.c);
#pragma unroll
            for (int k = 0; k < V; k++) {
                const bool take = first || v[k] > best[k] || v[k] != v[k]; /* NaN wins, as in PyTorch */
                best[k] = take ? v[k] : best[k];
                which.of[k] = take ? (uint8_t)tap : which.of[k];
            }
            first = false;
        }
        tw_store<T, V>(y + i * V, best);
        *reinterpret_cast<tw_pack<uint8_t, V> *>(pick + i * V) = which;
    }
}

template <typename T, int V> static __global__ void mean_of_pixels(T *y, const T *x, int HW, int C, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t picture = i / (C / V);
        const int c = (int)(i % (C / V)) * V;
        float sum[V] = {0};
        for (int p = 0; p < HW; p++) {
            float v[V];
            tw_load<T, V>(v, x + (picture * HW + p) * C + c);
#pragma unroll
            for (int k = 0; k < V; k++)
                sum[k] += v[k];
        }
        for (int k = 0; k < V; k++)
            sum[k] /= (float)HW;
        tw_store<T, V>(y + i * V, sum);
    }
}

template <typename T, int V> static __global__ void spread_over_pixels(T *dx, const T *dy, int HW, int C, int64_t n)
{
    const float scale = 1 / (float)HW;
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t row = i / (C / V);
        float v[V];
        tw_load<T, V>(v, dy + row / HW * C + i % (C / V) * V);
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] *= scale;
        tw_store<T, V>(dx + i * V, v);
    }
}

/* Launchers. */

/* Launches the kernel with a thread per V channels of `pixels` pixels. */
#define BY_WIDTH(kernel, pixels, C, ...)                                                                           \
    do {                                                                                                           \
        enum { W = tw_wide<T>::N };                                                                                \
        const int64_t n = (int64_t)(pixels) * (C) / ((C) % W == 0 ? W : 1);                                        \
        if ((C) % W == 0)                                                                                          \
            TW_LAUNCH((kernel<T, W>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                             \
        else                                                                                                       \
            TW_LAUNCH((kernel<T, 1>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                             \
    } while (0)

/* The same for pooling windows: also chooses the type of indices, which are at most `most`, and constants for usual windows. */
#define BY_WINDOWS(kernel, pixels, most, ...)                                                                                                \
    do {                                                                                                                                     \
        enum { W = tw_wide<T>::N };                                                                                                          \
        const int64_t n = (int64_t)(pixels) * s->C / (s->C % W == 0 ? W : 1);                                                                \
        if (s->C % W != 0)                                                                                                                   \
            TW_LAUNCH((kernel<T, 1, int64_t, false>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                                       \
        else if ((most) > INT32_MAX || !usual(s))                                                                                            \
            TW_LAUNCH((kernel<T, W, int64_t, false>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                                       \
        else                                                                                                                                 \
            TW_LAUNCH((kernel<T, W, uint32_t, true>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                                       \
    } while (0)

int tw_launch_max_forward(const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WINDOWS(max_of_windows, (int64_t)s->N * s->OH * s->OW, (int64_t)s->N * s->H * s->W * s->C, *s, (T *)y, pick, (const T *)x));
    return TW_LAUNCHED("max pool");
}

int tw_launch_mean_forward(void *y, const void *x, int N, int HW, int C, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(mean_of_pixels, N, C, (T *)y, (const T *)x, HW, C));
    return TW_LAUNCHED("mean");
}

int tw_launch_mean_backward(void *dx, const void *dy, int N, int HW, int C, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(spread_over_pixels, (int64_t)N * HW, C, (T *)dx, (const T *)dy, HW, C));
    return TW_LAUNCHED("mean backward");
}
