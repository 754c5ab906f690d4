/* BatchNorm, ReLU and max pooling, fused. The pixel picked in a window is that with the largest result of the norm before rounding: as the norm is
 * linear, that is the largest x or, if the scale is negative, the smallest; the first of equal ones. */
#include "cuda/norm_rows.h"

/* Windows as compile-time constants. COVER: most windows that cover a pixel, in each direction; SQUARE: in both. */
enum { SIZE = 3, STRIDE = 2, PAD = 1, TAPS = SIZE * SIZE, COVER = 2, SQUARE = COVER * COVER };

/* Kernels. */

static __host__ __device__ inline int64_t windows(const tw_pool_shape &s)
{
    return (int64_t)s.N * s.OH * s.OW;
}

/* The rows of a block, first .. last - 1: neighbours, as their windows overlap. */
struct rows_of_block {
    int64_t first, last;
};

static __device__ inline rows_of_block my_rows(int64_t rows)
{
    const int64_t each = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * each;
    return {first, first + each < rows ? first + each : rows};
}

/* Pixel i of [N,H,W]. There are at most 2^32 (check_windows): 32-bit divisions cost a third of 64-bit ones. */
struct place {
    int h, w;
    int64_t n;
};

static __device__ inline place place_of(int64_t i, int H, int W)
{
    const uint32_t p = (uint32_t)i, row = p / (uint32_t)W;
    return {(int)(row % (uint32_t)H), (int)(p % (uint32_t)W), row / (uint32_t)H};
}

static __device__ inline int within(int at, int n)
{
    return at < 0 ? 0 : at < n ? at : n - 1;
}

template <typename T, int V>
static __global__ void __launch_bounds__(TW_BLOCK, TW_PLAIN) apply_and_pool(tw_norm n, tw_pool_shape s, T *y, uint8_t *pick, const T *x)
{
    const int c = tw_my_channel(V);
    if (c >= s.C)
        return;
    const tw_affine_of<V> to(n, c);
    float rises[V]; /* sign of the scale: 1, -1 or 0 */
#pragma unroll
    for (int k = 0; k < V; k++)
        rises[k] = to.scale[k] > 0 ? 1 : to.scale[k] < 0 ? -1 : 0;
    const rows_of_block mine = my_rows(windows(s));
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        const place o = place_of(r, s.OH, s.OW);
        const int top = o.h * STRIDE - PAD, left = o.w * STRIDE - PAD;
        tw_pack<T, V> in[TAPS];
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++) { /* pixels outside the picture are loaded from its edge, and ignored below */
            const int h = within(top + tap / SIZE, s.H), w = within(left + tap % SIZE, s.W);
            in[tap] = tw_fetch<T, V>(x + ((o.n * s.H + h) * s.W + w) * s.C + c);
        }
        float best[V];
        tw_pack<uint8_t, V> which = {};
#pragma unroll
        for (int k = 0; k < V; k++)
            best[k] = -INFINITY;
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++) {
            const int h = top + tap / SIZE, w = left + tap % SIZE;
            const bool inside = h >= 0 && h < s.H && w >= 0 && w < s.W;
            float v[V];
            tw_unpack<T, V>(v, in[tap]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                const float height = rises[k] * v[k];
                const bool take = inside && height > best[k];
                best[k] = take ? height : best[k];
                which.of[k] = take ? (uint8_t)tap : which.of[k];
            }
        }
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float v = to.of(rises[k] * best[k], k);
            best[k] = v < 0 ? 0 : v; /* NaN stays: the batch's statistics are NaN too */
        }
        tw_store<T, V>(y + r * s.C + c, best);
        *reinterpret_cast<tw_pack<uint8_t, V> *>(pick + r * s.C + c) = which;
    }
}

/* V channels of the 2 x 2 pixels whose first is the middle of window r: calls body(g, v, at) for each that is inside the picture, with x and with the
 * gradient of the norm's result there, the sum of dy over the windows that picked the pixel, masked by the ReLU. No windows but this one and its
 * neighbours to the right and below cover these pixels, so that which tap of which window a pixel is, is known to the compiler. */
template <typename T, int V, typename F>
static __device__ inline void each_of_square(const tw_affine_of<V> &to, const tw_pool_shape &s, int64_t r, int c, const uint8_t *pick, const T *dy,
                                             const T *x, const F &body)
{
    const place o = place_of(r, s.OH, s.OW);
    const int top = o.h * STRIDE, left = o.w * STRIDE;
    const int64_t pixel = ((o.n * s.H + top) * s.W + left) * s.C + c;
    tw_pack<uint8_t, V> which[SQUARE];
    tw_pack<T, V> in[SQUARE], from[SQUARE];
    bool covers[SQUARE], inside[SQUARE];
    int64_t at[SQUARE];
#pragma unroll
    for (int i = 0; i < SQUARE; i++) { /* what is outside is loaded from the first place, and ignored below */
        const int down = i / COVER, across = i % COVER;
        covers[i] = o.h + down < s.OH && o.w + across < s.OW;
        inside[i] = top + down < s.H && left + across < s.W;
        at[i] = pixel + (inside[i] ? (down * s.W + across) * s.C : 0);
        const int64_t window = (r + (covers[i] ? down * s.OW + across : 0)) * s.C + c;
        which[i] = tw_fetch<uint8_t, V>(pick + window);
        in[i] = tw_fetch<T, V>(dy + window);
        from[i] = tw_fetch<T, V>(x + at[i]);
    }
#pragma unroll
    for (int p = 0; p < SQUARE; p++) {
        if (!inside[p])
            continue;
        float g[V] = {0}, v[V];
#pragma unroll
        for (int i = 0; i < SQUARE; i++) {
            const int down = p / COVER + PAD - i / COVER * STRIDE, across = p % COVER + PAD - i % COVER * STRIDE;
            if (down < 0 || across < 0)
                continue;
            const int tap = covers[i] ? down * SIZE + across : TAPS;
            float part[V];
            tw_unpack<T, V>(part, in[i]);
#pragma unroll
            for (int k = 0; k < V; k++)
                g[k] += which[i].of[k] == tap ? part[k] : 0;
        }
        tw_unpack<T, V>(v, from[p]);
#pragma unroll
        for (int k = 0; k < V; k++)
            g[k] = to.of(v[k], k) > 0 ? g[k] : 0;
        body(g, v, at[p]);
    }
}

template <typename T, int V>
static __global__ void __launch_bounds__(TW_BLOCK, TW_WITH_SUMS)
backward_pooled_rows(tw_norm n, tw_pool_shape s, double *partial, const uint8_t *pick, const T *dy, const T *x)
{
    const int c = tw_my_channel(V);
    const tw_affine_of<V> to(n, c < s.C ? c : 0);
    tw_sums_of<T, V> sum;
    sum.clear();
    const rows_of_block mine = my_rows(c < s.C ? windows(s) : 0);
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        each_of_square<T, V>(to, s, r, c, pick, dy, x, [&](const float g[V], const float v[V], int64_t) { sum.add(g, v); });
        sum.settle();
    }
    tw_sum_columns<V>(partial, sum.s, sum.q, s.C);
}

template <typename T, int V>
static __global__ void __launch_bounds__(TW_BLOCK, TW_WITH_SUMS)
backward_apply_pooled_rows(tw_norm n, tw_pool_shape s, T *dx, const uint8_t *pick, const T *dy, const T *x)
{
    const int c = tw_my_channel(V);
    if (c >= s.C)
        return;
    const tw_slope_of<V> slope(n, c);
    const rows_of_block mine = my_rows(windows(s));
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y)
        each_of_square<T, V>(slope.to, s, r, c, pick, dy, x, [&](float g[V], const float v[V], int64_t at) {
#pragma unroll
            for (int k = 0; k < V; k++)
                g[k] = slope.of(g[k], v[k], k);
            tw_store<T, V>(dx + at, g);
        });
}

/* Launchers. */

#define LAUNCH_FORWARD(V, x) TW_LAUNCH((apply_and_pool<T, V>), k.grid, k.block, stream, *n, *s, (T *)y, pick, (const T *)x)

int tw_launch_norm_max(const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(windows(*s), s->C, t, TW_PLAIN);
    TW_BY_SHAPE(LAUNCH_FORWARD, t, x);
    return TW_LAUNCHED("norm and max pool");
}

#define LAUNCH_SUMS(V, x) TW_LAUNCH_BLOCK((backward_pooled_rows<T, V>), k.grid, k.block, stream, *n, *s, partial, pick, (const T *)dy, (const T *)x)

int tw_launch_norm_max_backward_sums(const tw_norm *n, const tw_pool_shape *s, double *partial, const uint8_t *pick, const void *dy, const void *x,
                                     tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(windows(*s), s->C, t, TW_WITH_SUMS);
    TW_BY_SHAPE(LAUNCH_SUMS, t, x);
    return TW_LAUNCHED("norm and max pool, sums") != 0 ? -1 : tw_launch_norm_finish(n, partial, (int)k.grid.y, true, stream);
}

#define LAUNCH_APPLY(V, x) TW_LAUNCH((backward_apply_pooled_rows<T, V>), k.grid, k.block, stream, *n, *s, (T *)dx, pick, (const T *)dy, (const T *)x)

int tw_launch_norm_max_backward_apply(const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x,
                                      tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(windows(*s), s->C, t, TW_WITH_SUMS);
    TW_BY_SHAPE(LAUNCH_APPLY, t, x);
    return TW_LAUNCHED("norm and max pool, backward");
}
