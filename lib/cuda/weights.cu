/* Conversion of weights and inputs between their plain layouts and those of cuda/form.h; biases. */
#include "cuda/kernel.h"

/* Kernels. */

/* Channel q of a block: channel c of the block's pixel in row i, column j; i >= block if q is padding. */
struct channel {
    int c, i, j;
};

static __device__ inline channel channel_at(const tw_conv_form &f, int q)
{
    const int pixel = q / f.plain.C;
    return {q % f.plain.C, pixel / f.block, pixel % f.block};
}

/* SIDE: side of the filters as a compile-time constant, or 0. */
template <typename T, int SIDE> static __global__ void weights_in(T *y, const float *w, tw_conv_form f, int64_t n)
{
    const uint32_t side = SIDE != 0 ? SIDE : (uint32_t)f.plain.size, size = SIDE != 0 ? SIDE : (uint32_t)f.size, P = (uint32_t)f.P;
    const int block = SIDE != 0 ? 1 : f.block;
    for (uint32_t at = (uint32_t)TW_GRID_FROM; at < n; at += (uint32_t)TW_GRID_STEP) {
        const uint32_t tap = at / P;
        const channel q = SIDE != 0 ? channel{(int)(at % P), (int)(at % P) < f.plain.C ? 0 : 1, 0} : channel_at(f, (int)(at % P));
        const int lead = SIDE != 0 ? 0 : f.lead;
        const int column = (int)(tap % size) * block + q.j - lead, row = (int)(tap / size % size) * block + q.i - lead;
        const uint32_t k = tap / size / size;
        const bool there = q.i < block && row >= 0 && row < (int)side && column >= 0 && column < (int)side;
        y[at] = tw_narrow<T>(there ? w[((k * (uint32_t)f.plain.C + (uint32_t)q.c) * side + (uint32_t)row) * side + (uint32_t)column] : 0);
    }
}

template <typename T, int SIDE> static __global__ void weights_out(float *dw, const T *g, tw_conv_form f, int64_t n)
{
    const uint32_t side = SIDE != 0 ? SIDE : (uint32_t)f.plain.size, size = SIDE != 0 ? SIDE : (uint32_t)f.size, C = (uint32_t)f.plain.C;
    const uint32_t block = SIDE != 0 ? 1 : (uint32_t)f.block, lead = SIDE != 0 ? 0 : (uint32_t)f.lead;
    for (uint32_t at = (uint32_t)TW_GRID_FROM; at < n; at += (uint32_t)TW_GRID_STEP) {
        const uint32_t column = at % side + lead, row = at / side % side + lead, filter = at / side / side, k = filter / C;
        const uint32_t q = (row % block * block + column % block) * C + filter % C;
        dw[at] += tw_widen(g[((k * size + row / block) * size + column / block) * (uint32_t)f.P + q]);
    }
}

template <typename T, int V> static __global__ void add_to_f32(float *dw, const T *g, int64_t n)
{
    for (int64_t i = TW_GRID_FROM * V; i < n; i += TW_GRID_STEP * V) {
        float a[V], b[V];
        tw_load_f32<V>(a, dw + i);
        tw_load<T, V>(b, g + i);
#pragma unroll
        for (int k = 0; k < V; k++)
            a[k] += b[k];
        tw_store_f32<V>(dw + i, a);
    }
}

/* A thread writes V channels of one block. */
template <typename T, int V> static __global__ void form(T *y, const T *x, tw_conv_form f, int64_t n)
{
    for (int64_t at = TW_GRID_FROM; at < n; at += TW_GRID_STEP) {
        const int64_t pixel = at * V / f.P, row = pixel / f.W;
        const int w = (int)(pixel % f.W) * f.block, h = (int)(row % f.H) * f.block;
        const int64_t picture = row / f.H;
        channel q = channel_at(f, (int)(at * V % f.P));
        float v[V];
#pragma unroll
        for (int k = 0; k < V; k++) {
            const bool there = q.i < f.block && h + q.i < f.plain.H && w + q.j < f.plain.W;
            v[k] = there ? tw_widen(x[((picture * f.plain.H + h + q.i) * f.plain.W + w + q.j) * f.plain.C + q.c]) : 0;
            if (++q.c < f.plain.C)
                continue;
            q.c = 0;
            q.i += ++q.j == f.block;
            q.j %= f.block;
        }
        tw_store<T, V>(y + at * V, v);
    }
}

/* The same for blocks of 2 x 2 pixels of three channels if the picture's sides are even, as for a network's stem: a thread writes a block, from six
 * numbers of each of two rows. w: blocks per row; n: blocks of all pictures. */
template <typename T> static __global__ void form_pictures(T *y, const T *x, uint32_t w, uint32_t n)
{
    enum { V = tw_wide<T>::N, P = (12 + V - 1) / V * V };
    for (uint32_t at = (uint32_t)TW_GRID_FROM; at < n; at += (uint32_t)TW_GRID_STEP) {
        const T *from = x + 6 * ((int64_t)(at / w) * w + at);
        float v[P] = {0};
#pragma unroll
        for (int k = 0; k < 6; k += 2) {
            tw_load<T, 2>(v + k, from + k);
            tw_load<T, 2>(v + 6 + k, from + 6 * (int64_t)w + k);
        }
#pragma unroll
        for (int k = 0; k < P; k += V)
            tw_store<T, V>(y + (int64_t)at * P + k, v + k);
    }
}

template <typename T> static __global__ void unform(T *y, const T *x, tw_conv_form f, int64_t n)
{
    for (int64_t at = TW_GRID_FROM; at < n; at += TW_GRID_STEP) {
        const int64_t pixel = at / f.plain.C, row = pixel / f.plain.W, picture = row / f.plain.H;
        const int w = (int)(pixel % f.plain.W), h = (int)(row % f.plain.H);
        const int q = (h % f.block * f.block + w % f.block) * f.plain.C + (int)(at % f.plain.C);
        const bool there = h / f.block < f.H && w / f.block < f.W; /* else outside the form's picture: no window reaches it */
        y[at] = there ? x[((picture * f.H + h / f.block) * f.W + w / f.block) * f.P + q] : tw_narrow<T>(0);
    }
}

template <typename T> static __global__ void add_bias(T *y, const float *b, int K, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP)
        y[i] = tw_narrow<T>(tw_widen(y[i]) + b[i % K]);
}

/* sum [pieces,K] = (add: +=) the column sums of x [rows,K] per piece of `each` rows. A block does 32 V columns of a piece; its 8 threads down take
 * every eighth row, and load several before they add the first. */
template <typename T, int V> static __global__ void sum_columns(float *sum, const T *x, int64_t rows, int each, int K, bool add)
{
    enum { DOWN = 8, AT_ONCE = 8 };
    __shared__ float room[DOWN][32 * V];
    const int lane = (int)threadIdx.x, column = ((int)blockIdx.x * 32 + lane) * V;
    const int64_t first = (int64_t)blockIdx.y * each, last = first + each < rows ? first + each : rows;
    float total[V] = {0};
    for (int64_t r = first + threadIdx.y; column < K && r < last; r += DOWN * AT_ONCE) {
        tw_pack<T, V> in[AT_ONCE] = {};
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (r + DOWN * i < last)
                in[i] = tw_fetch<T, V>(x + (r + DOWN * i) * K + column);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) { /* zeros where there are no more rows */
            float v[V];
            tw_unpack<T, V>(v, in[i]);
#pragma unroll
            for (int k = 0; k < V; k++)
                total[k] += v[k];
        }
    }
    for (int k = 0; k < V; k++)
        room[threadIdx.y][lane + 32 * k] = total[k];
    __syncthreads();
    if (threadIdx.y != 0 || column >= K)
        return;
    for (int k = 0; k < V; k++) {
        float *to = sum + (int64_t)blockIdx.y * K + column + k;
        for (int i = 1; i < DOWN; i++)
            total[k] += room[i][lane + 32 * k];
        *to = add ? *to + total[k] : total[k];
    }
}

/* Launchers. */

/* 1x1 filters have the same layout in both. */
static bool same_order(const tw_conv_form *f)
{
    return f->plain.size == 1 && f->size == 1 && f->block == 1 && f->P == f->plain.C;
}

/* Launches the kernel for plain 3 x 3 filters, or the general one. */
#define BY_SIDE(kernel, ...)                                                                     \
    do {                                                                                         \
        if (f->block == 1 && f->lead == 0 && f->plain.size == 3 && f->size == 3)                 \
            TW_LAUNCH((kernel<T, 3>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__);              \
        else                                                                                     \
            TW_LAUNCH((kernel<T, 0>), tw_blocks(n), TW_BLOCK, stream, __VA_ARGS__);              \
    } while (0)

int tw_launch_weights_in(void *y, const float *w, const tw_conv_form *f, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)f->K * f->size * f->size * f->P;
    if (same_order(f))
        return tw_launch_from_f32(y, w, n, t, stream);
    TW_BY_TYPE(t, BY_SIDE(weights_in, (T *)y, w, *f, n));
    return TW_LAUNCHED("weights");
}

int tw_launch_weights_out(float *dw, const void *g, const tw_conv_form *f, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)f->K * f->plain.C * f->plain.size * f->plain.size;
    TW_BY_TYPE(t, do {
        enum { W = tw_wide<T>::N };
        if (same_order(f) && n % W == 0)
            TW_LAUNCH((add_to_f32<T, W>), tw_blocks(n / W), TW_BLOCK, stream, dw, (const T *)g, n);
        else
            BY_SIDE(weights_out, dw, (const T *)g, *f, n);
    } while (0));
    return TW_LAUNCHED("weight gradient");
}

int tw_launch_form(void *y, const void *x, const tw_conv_form *f, tw_dtype t, cudaStream_t stream)
{
    const int64_t pixels = (int64_t)f->N * f->H * f->W;
    if (f->block == 2 && f->plain.C == 3 && f->plain.H == 2 * f->H && f->plain.W == 2 * f->W && pixels < UINT32_MAX) {
        TW_BY_TYPE(t, TW_LAUNCH((form_pictures<T>), tw_blocks(pixels), TW_BLOCK, stream, (T *)y, (const T *)x, (uint32_t)f->W, (uint32_t)pixels));
        return TW_LAUNCHED("form of pictures");
    }
    TW_BY_TYPE(t, do {
        enum { V = tw_wide<T>::N }; /* P is a multiple of it */
        const int64_t n = pixels * f->P / V;
        TW_LAUNCH((form<T, V>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)x, *f, n);
    } while (0));
    return TW_LAUNCHED("form");
}

int tw_launch_unform(void *y, const void *x, const tw_conv_form *f, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = (int64_t)f->plain.N * f->plain.H * f->plain.W * f->plain.C;
    TW_BY_TYPE(t, TW_LAUNCH((unform<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, (const T *)x, *f, n));
    return TW_LAUNCHED("form backward");
}

int tw_launch_bias(void *y, const float *b, int64_t rows, int K, tw_dtype t, cudaStream_t stream)
{
    const int64_t n = rows * K;
    TW_BY_TYPE(t, TW_LAUNCH((add_bias<T>), tw_blocks(n), TW_BLOCK, stream, (T *)y, b, K, n));
    return TW_LAUNCHED("bias");
}

/* Rows of a piece: depends on their number only, not on the device. */
static int rows_of_piece(int64_t rows)
{
    const int64_t least = 64, each = tw_pieces(rows, 128);
    return (int)(each < least ? least : each);
}

size_t tw_bias_partials(int64_t rows, int K)
{
    return (size_t)tw_pieces(rows, rows_of_piece(rows)) * (size_t)K;
}

int tw_launch_bias_gradient(float *db, float *partial, const void *dy, int64_t rows, int K, tw_dtype t, cudaStream_t stream)
{
    const int each = rows_of_piece(rows);
    const unsigned pieces = (unsigned)tw_pieces(rows, each);
    if (K % 4 == 0)
        TW_BY_TYPE(t, TW_LAUNCH_BLOCK((sum_columns<T, 4>), dim3((unsigned)tw_pieces(K, 128), pieces, 1), dim3(32, 8, 1), stream, partial,
                                      (const T *)dy, rows, each, K, false));
    else
        TW_BY_TYPE(t, TW_LAUNCH_BLOCK((sum_columns<T, 1>), dim3((unsigned)tw_pieces(K, 32), pieces, 1), dim3(32, 8, 1), stream, partial,
                                      (const T *)dy, rows, each, K, false));
    TW_LAUNCH_BLOCK((sum_columns<float, 1>), (unsigned)tw_pieces(K, 32), dim3(32, 8, 1), stream, db, partial, (int64_t)pieces, (int)pieces, K, true);
    return TW_LAUNCHED("bias gradient");
}
