/* BatchNorm over [rows,C]: its passes over the rows, and what follows from their sums. */
#include "cuda/norm_rows.h"

/* Kernels. */

template <typename T, int V>
static __global__ void __launch_bounds__(TW_BLOCK, TW_WITH_SUMS) sum_rows(double *partial, const T *x, int64_t rows, int C)
{
    const int c = tw_my_channel(V);
    const int64_t stride = (int64_t)blockDim.y * C;
    tw_sums_of<T, V> sum;
    sum.clear();
    tw_down_rows<TW_AT_ONCE, FROM_FIRST>(c < C ? rows : 0, [&](int64_t r, auto some) {
        enum { N = decltype(some)::ROWS };
        tw_pack<T, V> in[N];
        const T *px = x + r * C + c;
#pragma unroll
        for (int i = 0; i < N; i++)
            in[i] = tw_fetch<T, V>(px + i * stride);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float v[V];
            tw_unpack<T, V>(v, in[i]);
            sum.add(v, v);
        }
        sum.settle();
    });
    tw_sum_columns<V>(partial, sum.s, sum.q, C);
}

/* How a backward pass finds where the ReLU passes gradients: everywhere (no ReLU); y > 0; the stored mask, a byte per V channels with a bit for each;
 * or, without a shortcut, recomputed from x. */
typedef enum { OPEN, BY_RESULT, BY_MASK, BY_INPUT } gate;

/* Sums of g = dy (+ dy2), zeroed where the ReLU does not pass it, and of g x; g is written back to dy if others read it. */
template <typename T, int V, bool TWO, gate GATE>
static __global__ void __launch_bounds__(TW_BLOCK, TW_WITH_SUMS)
backward_rows(tw_norm n, double *partial, T *dy, const T *dy2, const T *y, const T *x)
{
    enum { ROWS = TW_AT_ONCE / (2 + TWO + (GATE == BY_RESULT)) };
    const int c = tw_my_channel(V), C = n.C;
    const int64_t stride = (int64_t)blockDim.y * C;
    const tw_affine_of<V> to(n, c < C ? c : 0);
    tw_sums_of<T, V> sum;
    sum.clear();
    tw_down_rows<ROWS, FROM_FIRST>(c < C ? n.rows : 0, [&](int64_t r, auto some) {
        enum { N = decltype(some)::ROWS };
        tw_pack<T, V> in[N], in2[N], out[N], from[N];
        uint8_t bits[N];
        const int64_t first = r * C + c;
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int64_t at = first + i * stride;
            in[i] = tw_fetch<T, V>(dy + at);
            from[i] = tw_fetch<T, V>(x + at);
            if (TWO)
                in2[i] = tw_fetch<T, V>(dy2 + at);
            if (GATE == BY_RESULT)
                out[i] = tw_fetch<T, V>(y + at);
            if (GATE == BY_MASK)
                bits[i] = n.mask[at / V];
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            float g[V], v[V], other[V];
            tw_unpack<T, V>(g, in[i]);
            tw_unpack<T, V>(v, from[i]);
            if (TWO) {
                tw_unpack<T, V>(other, in2[i]);
#pragma unroll
                for (int k = 0; k < V; k++)
                    g[k] = tw_widen(tw_narrow<T>(g[k] + other[k])); /* rounded, as later passes will read it */
            }
            if (GATE == BY_RESULT)
                tw_unpack<T, V>(other, out[i]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                if (GATE == BY_RESULT)
                    g[k] = other[k] > 0 ? g[k] : 0;
                if (GATE == BY_MASK)
                    g[k] = (bits[i] >> k & 1) != 0 ? g[k] : 0;
                if (GATE == BY_INPUT)
                    g[k] = to.of(v[k], k) > 0 ? g[k] : 0;
            }
            if (TWO || GATE == BY_RESULT || GATE == BY_MASK)
                tw_store<T, V>(dy + first + i * stride, g);
            sum.add(g, v);
        }
        sum.settle();
    });
    tw_sum_columns<V>(partial, sum.s, sum.q, C);
}

/* norm_statistics of channel c, from the sums over all ranks. */
static __device__ inline void statistics_of(const tw_norm &n, int c)
{
    const double count = (double)n.count, mean = n.sums[c] / count, var = tw_norm_variance(mean, n.sums[n.C + c] / count);
    n.mean[c] = (float)mean;
    n.rstd[c] = tw_norm_rstd(var);
    n.running_mean[c] = tw_norm_move(n.running_mean[c], mean);
    n.running_var[c] = tw_norm_move(n.running_var[c], var * count / (count - 1));
}

/* Adds this rank's gradients of gamma and beta, from its own sums. */
static __device__ inline void add_gradients(const tw_norm &n, int c)
{
    n.dgamma[c] += (float)tw_norm_normalised(n.sums[c], n.sums[n.C + c], n.mean[c], n.rstd[c]);
    n.dbeta[c] += (float)n.sums[c];
}

/* What the kernel that completes a pass's sums also does with them. */
typedef enum { NO_MORE, STATISTICS, GRADIENTS } after_sums;

static after_sums forward_then(const tw_norm *n)
{
    return tw_norm_alone(n) ? STATISTICS : NO_MORE;
}

static after_sums backward_then(const tw_norm *n)
{
    return n->dgamma != NULL ? GRADIENTS : NO_MORE;
}

/* n.sums from partial [down,2,C]: 32 channels per block, whose 32 threads down take every 32nd row. */
static __global__ void __launch_bounds__(1024) sum_partials(tw_norm n, const double *partial, int down, after_sums what)
{
    __shared__ double room[2][32][33];
    const int c = (int)(blockIdx.x * 32 + threadIdx.x);
    double total[2] = {0, 0};
    for (int i = (int)threadIdx.y; c < n.C && i < down; i += 32)
        for (int which = 0; which < 2; which++)
            total[which] += partial[((int64_t)i * 2 + which) * n.C + c];
    for (int which = 0; which < 2; which++)
        room[which][threadIdx.y][threadIdx.x] = total[which];
    __syncthreads();
    if (threadIdx.y != 0 || c >= n.C)
        return;
    for (int which = 0; which < 2; which++) {
        for (int i = 1; i < 32; i++)
            total[which] += room[which][i][threadIdx.x];
        n.sums[which * n.C + c] = total[which];
    }
    if (what == STATISTICS)
        statistics_of(n, c);
    if (what == GRADIENTS)
        add_gradients(n, c);
}

static __global__ void make_statistics(tw_norm n)
{
    const int c = (int)TW_GRID_FROM;
    if (c < n.C)
        statistics_of(n, c);
}

static __global__ void take_sums(tw_norm n, const float *sum, const float *squares, after_sums what)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    n.sums[c] = (double)sum[c];
    n.sums[n.C + c] = (double)squares[c];
    if (what == STATISTICS)
        statistics_of(n, c);
}

static __global__ void take_running(tw_norm n)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    n.mean[c] = n.running_mean[c];
    n.rstd[c] = tw_norm_rstd((double)n.running_var[c]);
}

template <typename T> static __global__ void make_line(tw_norm n, T *scale, T *offset)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    const tw_affine_of<1> to(n, c);
    scale[c] = tw_narrow<T>(to.scale[0]);
    offset[c] = tw_narrow<T>(to.of(0, 0));
}

/* What is added before the ReLU: nothing, the shortcut, or the norm `aside` of the shortcut. */
typedef enum { NOTHING, SHORTCUT, NORMED } addend;

template <typename T, int V, addend ADD, bool RELU, bool MASK>
static __global__ void __launch_bounds__(TW_BLOCK, TW_PLAIN) apply_rows(tw_norm n, T *y, const T *x, tw_norm aside, const T *shortcut)
{
    enum { ROWS = TW_AT_ONCE / 2 / (1 + (ADD != NOTHING)) };
    const int c = tw_my_channel(V);
    if (c >= n.C)
        return;
    const int64_t stride = (int64_t)blockDim.y * n.C;
    tw_affine_of<V> to(n, c);
    const tw_affine_of<V> of_shortcut(ADD == NORMED ? aside : n, c);
#pragma unroll
    for (int k = 0; k < V && ADD == NORMED; k++)
        to.beta[k] += of_shortcut.beta[k];
    tw_down_rows<ROWS, FROM_LAST>(n.rows, [&](int64_t r, auto some) {
        enum { N = decltype(some)::ROWS };
        tw_pack<T, V> in[N], in2[N];
        const int64_t first = r * n.C + c;
#pragma unroll
        for (int i = 0; i < N; i++) {
            in[i] = tw_fetch_last<T, V>(x + first + i * stride);
            if (ADD != NOTHING)
                in2[i] = tw_fetch_last<T, V>(shortcut + first + i * stride);
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            float v[V], other[V];
            tw_unpack<T, V>(v, in[i]);
            if (ADD != NOTHING)
                tw_unpack<T, V>(other, in2[i]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                v[k] = to.of(v[k], k);
                if (ADD == SHORTCUT)
                    v[k] += other[k];
                if (ADD == NORMED)
                    v[k] += of_shortcut.rise(other[k], k);
                if (RELU)
                    v[k] = v[k] < 0 ? 0 : v[k]; /* NaN stays */
            }
            tw_store<T, V>(y + first + i * stride, v);
            if (MASK) {
                unsigned bits = 0;
#pragma unroll
                for (int k = 0; k < V; k++)
                    bits |= (tw_widen(tw_narrow<T>(v[k])) > 0 ? 1u : 0u) << k;
                n.mask[(first + i * stride) / V] = (uint8_t)bits;
            }
        }
    });
}

/* dx; dy is masked by the gate first */
template <typename T, int V, gate GATE>
static __global__ void __launch_bounds__(TW_BLOCK, TW_PLAIN) backward_apply_rows(tw_norm n, T *dx, const T *dy, const T *x)
{
    enum { ROWS = TW_AT_ONCE / 4 };
    const int c = tw_my_channel(V);
    if (c >= n.C)
        return;
    const int64_t stride = (int64_t)blockDim.y * n.C;
    const tw_slope_of<V> slope(n, c);
    tw_down_rows<ROWS, FROM_LAST>(n.rows, [&](int64_t r, auto some) {
        enum { N = decltype(some)::ROWS };
        tw_pack<T, V> in[N], from[N];
        const int64_t first = r * n.C + c;
#pragma unroll
        for (int i = 0; i < N; i++) {
            in[i] = tw_fetch_last<T, V>(dy + first + i * stride);
            from[i] = tw_fetch_last<T, V>(x + first + i * stride);
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            float g[V], v[V];
            tw_unpack<T, V>(g, in[i]);
            tw_unpack<T, V>(v, from[i]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                if (GATE == BY_INPUT)
                    g[k] = slope.to.of(v[k], k) > 0 ? g[k] : 0;
                g[k] = slope.of(g[k], v[k], k);
            }
            tw_store<T, V>(dx + first + i * stride, g);
        }
    });
}

/* Launchers. */

size_t tw_norm_partials(const tw_norm *n, tw_dtype t)
{
    return (size_t)tw_cut_rows(n->rows, n->C, t, TW_WITH_SUMS).grid.y * 2 * (size_t)n->C;
}

int tw_launch_norm_finish(const tw_norm *n, const double *partial, int down, bool backward, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(sum_partials, (unsigned)tw_pieces(n->C, 32), dim3(32, 32, 1), stream, *n, partial, down,
                    backward ? backward_then(n) : forward_then(n));
    return TW_LAUNCHED("norm sums");
}

#define LAUNCH_SUMS(V, x) TW_LAUNCH_BLOCK((sum_rows<T, V>), k.grid, k.block, stream, partial, (const T *)x, n->rows, n->C)

int tw_launch_norm_sums(const tw_norm *n, double *partial, const void *x, tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, n->C, t, TW_WITH_SUMS);
    TW_BY_SHAPE(LAUNCH_SUMS, t, x);
    return TW_LAUNCHED("norm sums") != 0 ? -1 : tw_launch_norm_finish(n, partial, (int)k.grid.y, false, stream);
}

int tw_launch_norm_take_sums(const tw_norm *n, const float *sum, const float *squares, cudaStream_t stream)
{
    TW_LAUNCH(take_sums, (unsigned)tw_pieces(n->C, TW_BLOCK), TW_BLOCK, stream, *n, sum, squares, forward_then(n));
    return TW_LAUNCHED("norm sums found");
}

int tw_launch_norm_statistics(const tw_norm *n, cudaStream_t stream)
{
    TW_LAUNCH(make_statistics, (unsigned)tw_pieces(n->C, TW_BLOCK), TW_BLOCK, stream, *n);
    return TW_LAUNCHED("norm statistics");
}

int tw_launch_norm_running(const tw_norm *n, cudaStream_t stream)
{
    TW_LAUNCH(take_running, (unsigned)tw_pieces(n->C, TW_BLOCK), TW_BLOCK, stream, *n);
    return TW_LAUNCHED("norm running");
}

int tw_launch_norm_line(const tw_norm *n, void *scale, void *offset, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH(make_line<T>, (unsigned)tw_pieces(n->C, TW_BLOCK), TW_BLOCK, stream, *n, (T *)scale, (T *)offset));
    return TW_LAUNCHED("norm as a line");
}

#define LAUNCH_APPLY(V, add, relu, mask)                                                                                       \
    TW_LAUNCH((apply_rows<T, V, add, relu, mask>), k.grid, k.block, stream, *n, (T *)y, (const T *)x, aside != NULL ? *aside : *n, \
              (const T *)shortcut)

int tw_launch_norm_apply(const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *shortcut, tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, n->C, t, TW_PLAIN);
    if (aside != NULL && n->mask != NULL)
        TW_BY_SHAPE(LAUNCH_APPLY, t, NORMED, true, true);
    else if (aside != NULL && n->relu)
        TW_BY_SHAPE(LAUNCH_APPLY, t, NORMED, true, false);
    else if (aside != NULL)
        TW_BY_SHAPE(LAUNCH_APPLY, t, NORMED, false, false);
    else if (n->mask != NULL)
        TW_BY_SHAPE(LAUNCH_APPLY, t, SHORTCUT, true, true);
    else if (shortcut != NULL && n->relu)
        TW_BY_SHAPE(LAUNCH_APPLY, t, SHORTCUT, true, false);
    else if (shortcut != NULL)
        TW_BY_SHAPE(LAUNCH_APPLY, t, SHORTCUT, false, false);
    else if (n->relu)
        TW_BY_SHAPE(LAUNCH_APPLY, t, NOTHING, true, false);
    else
        TW_BY_SHAPE(LAUNCH_APPLY, t, NOTHING, false, false);
    return TW_LAUNCHED("norm apply");
}

size_t tw_norm_mask_bytes(int64_t rows, int C, tw_dtype t)
{
    return (size_t)rows * (size_t)(C / tw_width(C, t));
}

/* How the norm's backward passes find the ReLU's mask. */
static gate gate_of(const tw_norm *n)
{
    return !n->relu ? OPEN : !n->add ? BY_INPUT : n->mask != NULL ? BY_MASK : BY_RESULT;
}

#define LAUNCH_BACKWARD(V, two, by)                                                                                          \
    TW_LAUNCH_BLOCK((backward_rows<T, V, two, by>), k.grid, k.block, stream, *n, partial, (T *)dy, (const T *)dy2, (const T *)y, \
                    (const T *)x)

int tw_launch_norm_backward_sums(const tw_norm *n, double *partial, void *dy, const void *dy2, const void *y, const void *x, tw_dtype t,
                                 cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, n->C, t, TW_WITH_SUMS);
    const gate by = gate_of(n);
    if (dy2 != NULL && by == BY_RESULT)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, true, BY_RESULT);
    else if (dy2 != NULL && by == BY_MASK)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, true, BY_MASK);
    else if (dy2 != NULL && by == BY_INPUT)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, true, BY_INPUT);
    else if (dy2 != NULL)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, true, OPEN);
    else if (by == BY_RESULT)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, false, BY_RESULT);
    else if (by == BY_MASK)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, false, BY_MASK);
    else if (by == BY_INPUT)
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, false, BY_INPUT);
    else
        TW_BY_SHAPE(LAUNCH_BACKWARD, t, false, OPEN);
    return TW_LAUNCHED("norm backward sums") != 0 ? -1 : tw_launch_norm_finish(n, partial, (int)k.grid.y, true, stream);
}

#define LAUNCH_BACKWARD_APPLY(V, by) \
    TW_LAUNCH((backward_apply_rows<T, V, by>), k.grid, k.block, stream, *n, (T *)dx, (const T *)dy, (const T *)x)

int tw_launch_norm_backward_apply(const tw_norm *n, void *dx, const void *dy, const void *x, tw_dtype t, cudaStream_t stream)
{
    const tw_cut k = tw_cut_rows(n->rows, n->C, t, TW_PLAIN);
    if (gate_of(n) == BY_INPUT)
        TW_BY_SHAPE(LAUNCH_BACKWARD_APPLY, t, BY_INPUT);
    else
        TW_BY_SHAPE(LAUNCH_BACKWARD_APPLY, t, OPEN);
    return TW_LAUNCHED("norm backward");
}
