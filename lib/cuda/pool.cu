/* Max pooling and the mean over all pixels. */
#include "cuda/kernel.h"

/* Kernels: a thread has V channels of one pixel. */

struct pixel {
    int c, w, h, n;
};

/* The i-th group of V channels of [N,H,W,C]. */
static __device__ inline pixel pixel_at(int64_t i, int H, int W, int C, int V)
{
    const int across = C / V;
    const int64_t p = i / across, q = p / W;
    return {(int)(i % across) * V, (int)(p % W), (int)(q % H), (int)(q / H)};
}

template <typename T, int V> static __global__ void max_of_windows(tw_pool_shape s, T *y, uint8_t *pick, const T *x, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const pixel o = pixel_at(i, s.OH, s.OW, s.C, V);
        float best[V] = {0};
        tw_pack<uint8_t, V> which = {};
        bool first = true;
        for (int tap = 0; tap < s.size * s.size; tap++) {
            const int h = o.h * s.stride - s.pad + tap / s.size, w = o.w * s.stride - s.pad + tap % s.size;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W)
                continue;
            float v[V];
            tw_load<T, V>(v, x + (((int64_t)o.n * s.H + h) * s.W + w) * s.C + o.c);
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

/* The windows [first, last] in one direction that a coordinate lies in. */
struct windows {
    int first, last;
};

static __device__ inline windows windows_at(int at, const tw_pool_shape &s, int outputs)
{
    const int from = at + s.pad - s.size + 1;
    const int first = from <= 0 ? 0 : (from + s.stride - 1) / s.stride, last = (at + s.pad) / s.stride;
    return {first, last < outputs ? last : outputs - 1};
}

/* One input pixel gathers from the windows that cover it, in their order. */
template <typename T, int V> static __global__ void gather_windows(tw_pool_shape s, T *dx, const uint8_t *pick, const T *dy, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const pixel p = pixel_at(i, s.H, s.W, s.C, V);
        const windows down = windows_at(p.h, s, s.OH), across = windows_at(p.w, s, s.OW);
        float total[V] = {0};
        for (int y = down.first; y <= down.last; y++)
            for (int x = across.first; x <= across.last; x++) {
                const int tap = (p.h + s.pad - y * s.stride) * s.size + p.w + s.pad - x * s.stride;
                const int64_t from = (((int64_t)p.n * s.OH + y) * s.OW + x) * s.C + p.c;
                const tw_pack<uint8_t, V> which = tw_fetch<uint8_t, V>(pick + from);
                float g[V];
                tw_load<T, V>(g, dy + from);
#pragma unroll
                for (int k = 0; k < V; k++)
                    total[k] += which.of[k] == tap ? g[k] : 0;
            }
        tw_store<T, V>(dx + i * V, total);
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

/* A thread for every V of the numbers of `pixels` pixels of C channels. */
#define BY_WIDTH(kernel, pixels, C, ...)                                                                           \
    do {                                                                                                           \
        enum { W = tw_wide<T>::N };                                                                                \
        const int64_t n = (int64_t)(pixels) * (C) / ((C) % W == 0 ? W : 1);                                        \
        if ((C) % W == 0)                                                                                          \
            TW_LAUNCH((kernel<T, W>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                             \
        else                                                                                                       \
            TW_LAUNCH((kernel<T, 1>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__, n);                             \
    } while (0)

int tw_launch_max_forward(const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(max_of_windows, (int64_t)s->N * s->OH * s->OW, s->C, *s, (T *)y, pick, (const T *)x));
    return TW_LAUNCHED("max pool");
}

int tw_launch_max_backward(const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, BY_WIDTH(gather_windows, (int64_t)s->N * s->H * s->W, s->C, *s, (T *)dx, pick, (const T *)dy));
    return TW_LAUNCHED("max pool backward");
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
