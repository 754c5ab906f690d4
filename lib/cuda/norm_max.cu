/* BatchNorm, ReLU and max pooling, fused. The pixel picked in a window is that with the largest result of the norm before rounding: as the norm is
 * linear, that is the largest x or, if the scale is negative, the smallest; the first of equal ones. */
#include "cuda/norm_rows.h"

enum { FEW = 4 }; /* rows that are summed in f32 before they are added in f64 */

/* Windows as compile-time constants. COVER: most windows that cover a pixel, in each direction. */
enum { SIZE = 3, STRIDE = 2, PAD = 1, TAPS = SIZE * SIZE, COVER = 2 };

/* Kernels. */

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
    const rows_of_block mine = my_rows((int64_t)s.N * s.OH * s.OW);
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

/* V channels of pixel r: x, and the gradient of the norm's result there: the sum of dy over the windows that picked the pixel, masked by the ReLU. */
template <typename T, int V>
static __device__ inline void gather(float g[V], float v[V], const tw_affine_of<V> &to, const tw_pool_shape &s, int64_t r, int c, const uint8_t *pick,
                                     const T *dy, const T *x)
{
    const tw_pack<T, V> from = tw_fetch<T, V>(x + r * s.C + c);
    const place p = place_of(r, s.H, s.W);
    tw_pack<uint8_t, V> which[COVER * COVER];
    tw_pack<T, V> in[COVER * COVER];
    const int top = p.h / STRIDE, left = p.w / STRIDE;
#pragma unroll
    for (int i = 0; i < COVER * COVER; i++) {
        const int64_t at = ((p.n * s.OH + within(top + i / COVER, s.OH)) * s.OW + within(left + i % COVER, s.OW)) * s.C + c;
        which[i] = tw_fetch<uint8_t, V>(pick + at);
        in[i] = tw_fetch<T, V>(dy + at);
    }
#pragma unroll
    for (int k = 0; k < V; k++)
        g[k] = 0;
#pragma unroll
    for (int i = 0; i < COVER * COVER; i++) {
        const int h = top + i / COVER, w = left + i % COVER, down = p.h + PAD - h * STRIDE, across = p.w + PAD - w * STRIDE;
        const int tap = h < s.OH && w < s.OW && down >= 0 && across >= 0 ? down * SIZE + across : TAPS;
        float part[V];
        tw_unpack<T, V>(part, in[i]);
#pragma unroll
        for (int k = 0; k < V; k++)
            g[k] += which[i].of[k] == tap ? part[k] : 0;
    }
    tw_unpack<T, V>(v, from);
#pragma unroll
    for (int k = 0; k < V; k++)
        g[k] = to.of(v[k], k) > 0 ? g[k] : 0;
}

template <typename T, int V>
static __global__ void __launch_bounds__(TW_BLOCK, TW_WITH_SUMS)
backward_pooled_rows(tw_norm n, tw_pool_shape s, double *partial, const uint8_t *pick, const T *dy, const T *x)
{
    const int c = tw_my_channel(V);
    const tw_affine_of<V> to(n, c < s.C ? c : 0);
    tw_sums_of<T, V> sum;
    sum.clear();
    const rows_of_block mine = my_rows(c < s.C ? n.rows : 0);
    int unsettled = 0;
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        float g[V], v[V];
        gather<T, V>(g, v, to, s, r, c, pick, dy, x);
        sum.add(g, v);
        if (++unsettled % FEW == 0)
            sum.settle();
    }
    sum.settle();
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
    const rows_of_block mine = my_rows(n.rows);
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        float g[V], v[V];
        gather<T, V>(g, v, slope.to, s, r, c, pick, dy, x);
#pragma unroll
        for (int k = 0; k < V; k++)
            g[k] = slope.of(g[k], v[k], k);
        tw_store<T, V>(dx + r * s.C + c, g);
    }
}

/* Launchers. */

#define LAUNCH_FORWARD(V, x) TW_LAUNCH((apply_and_pool<T, V>), k.grid, k.block, stream, *n, *s, (T *)y, pick, (const T *)x)

int tw_launch_norm_max(const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows((int64_t)s->N * s->OH * s->OW, s->C, t, TW_PLAIN);
    TW_BY_SHAPE(LAUNCH_FORWARD, t, x);
    return TW_LAUNCHED("norm and max pool");
}

#define LAUNCH_SUMS(V, x) TW_LAUNCH_BLOCK((backward_pooled_rows<T, V>), k.grid, k.block, stream, *n, *s, partial, pick, (const T *)dy, (const T *)x)

int tw_launch_norm_max_backward_sums(const tw_norm *n, const tw_pool_shape *s, double *partial, const uint8_t *pick, const void *dy, const void *x,
                                     tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, s->C, t, TW_WITH_SUMS);
    TW_BY_SHAPE(LAUNCH_SUMS, t, x);
    return TW_LAUNCHED("norm and max pool, sums") != 0 ? -1 : tw_launch_norm_finish(n, partial, (int)k.grid.y, true, stream);
}

#define LAUNCH_APPLY(V, x) TW_LAUNCH((backward_apply_pooled_rows<T, V>), k.grid, k.block, stream, *n, *s, (T *)dx, pick, (const T *)dy, (const T *)x)

int tw_launch_norm_max_backward_apply(const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x,
                                      tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, s->C, t, TW_WITH_SUMS);
    TW_BY_SHAPE(LAUNCH_APPLY, t, x);
    return TW_LAUNCHED("norm and max pool, backward");
}
