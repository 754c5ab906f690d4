/* BatchNorm over [rows,C]. A block is X threads across the channels (V each) and Y down the rows, and stays with its channels for
 * a run of rows, so that what belongs to a channel is read once. Sums: each thread its rows in order, the threads of a block in
 * order, the blocks in order: the same bits whenever the shape is the same. */
#include "cuda/kernel.h"

#include "nn/formula.h"

/* Kernels. */

/* The rows [first, last) of a block. */
struct rows_of {
    int64_t first, last;
};

static __device__ inline rows_of my_rows(int64_t rows)
{
    const int64_t each = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * each;
    return {first, first + each < rows ? first + each : rows};
}

static __device__ inline int my_channel(int V)
{
    return (int)(blockIdx.x * blockDim.x + threadIdx.x) * V;
}

/* Sums of a block over its threads down, into partial[blockIdx.y][2][C]. */
template <int V> static __device__ inline void sum_block(double *partial, const double s[V], const double q[V], int C)
{
    __shared__ double room[TW_BLOCK * V];
    const int width = (int)blockDim.x * V, own = (int)threadIdx.x * V, t = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    for (int which = 0; which < 2; which++) {
        __syncthreads();
        for (int k = 0; k < V; k++)
            room[(int)threadIdx.y * width + own + k] = which == 0 ? s[k] : q[k];
        __syncthreads();
        const int c = (int)blockIdx.x * width + t;
        if (t >= width || c >= C)
            continue;
        double total = 0;
        for (int y = 0; y < (int)blockDim.y; y++)
            total += room[y * width + t];
        partial[((int64_t)blockIdx.y * 2 + which) * C + c] = total;
    }
}

/* Sums of few rows are taken in f32: values of 16 bits have exact squares there. Wider ones go to f64 at once. */
template <typename T> struct run_of {
    enum { ROWS = sizeof(T) == 2 ? 8 : 1 };
};

template <typename T, int V> static __global__ void sum_rows(double *partial, const T *x, int64_t rows, int C)
{
    const int c = my_channel(V);
    const rows_of mine = my_rows(rows);
    double s[V] = {0}, q[V] = {0};
    for (int64_t r = mine.first + threadIdx.y; c < C && r < mine.last;) {
        float fs[V] = {0}, fq[V] = {0};
        for (int run = 0; run < run_of<T>::ROWS && r < mine.last; run++, r += blockDim.y) {
            float v[V];
            tw_load<T, V>(v, x + r * C + c);
#pragma unroll
            for (int k = 0; k < V; k++) {
                fs[k] += v[k];
                if (sizeof(T) == 2)
                    fq[k] += v[k] * v[k];
                else
                    q[k] += (double)v[k] * (double)v[k];
            }
        }
        for (int k = 0; k < V; k++) {
            s[k] += (double)fs[k];
            q[k] += (double)fq[k];
        }
    }
    sum_block<V>(partial, s, q, C);
}

/* g = dy (+ dy2), 0 where the ReLU's result y is not above 0; written back to dy where that changes it. */
template <typename T, int V, bool TWO, bool RELU>
static __global__ void backward_rows(double *partial, T *dy, const T *dy2, const T *y, const T *x, int64_t rows, int C)
{
    const int c = my_channel(V);
    const rows_of mine = my_rows(rows);
    double s[V] = {0}, q[V] = {0};
    for (int64_t r = mine.first + threadIdx.y; c < C && r < mine.last;) {
        float fs[V] = {0}, fq[V] = {0};
        for (int run = 0; run < run_of<T>::ROWS && r < mine.last; run++, r += blockDim.y) {
            const int64_t at = r * C + c;
            float g[V], v[V], other[V];
            tw_load<T, V>(g, dy + at);
            tw_load<T, V>(v, x + at);
            if (TWO) {
                tw_load<T, V>(other, dy2 + at);
#pragma unroll
                for (int k = 0; k < V; k++)
                    g[k] = tw_widen(tw_narrow<T>(g[k] + other[k])); /* what later passes will see */
            }
            if (RELU) {
                tw_load<T, V>(other, y + at);
#pragma unroll
                for (int k = 0; k < V; k++)
                    g[k] = other[k] > 0 ? g[k] : 0;
            }
            if (TWO || RELU)
                tw_store<T, V>(dy + at, g);
#pragma unroll
            for (int k = 0; k < V; k++) {
                fs[k] += g[k];
                if (sizeof(T) == 2)
                    fq[k] += g[k] * v[k];
                else
                    q[k] += (double)g[k] * (double)v[k];
            }
        }
        for (int k = 0; k < V; k++) {
            s[k] += (double)fs[k];
            q[k] += (double)fq[k];
        }
    }
    sum_block<V>(partial, s, q, C);
}

/* sums [n] = the sum of partial [down,n] over down: 32 columns a block, whose 8 threads down take every eighth row. */
static __global__ void sum_partials(double *sums, const double *partial, int down, int n)
{
    __shared__ double room[8][32];
    const int column = (int)(blockIdx.x * 32 + threadIdx.x);
    double total = 0;
    for (int i = (int)threadIdx.y; column < n && i < down; i += 8)
        total += partial[(int64_t)i * n + column];
    room[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y != 0 || column >= n)
        return;
    for (int i = 1; i < 8; i++)
        total += room[i][threadIdx.x];
    sums[column] = total;
}

static __global__ void make_statistics(tw_norm n)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    const double count = (double)n.count, mean = n.sums[c] / count, var = tw_norm_variance(mean, n.sums[n.C + c] / count);
    n.mean[c] = (float)mean;
    n.rstd[c] = tw_norm_rstd(var);
    n.running_mean[c] = tw_norm_move(n.running_mean[c], mean);
    n.running_var[c] = tw_norm_move(n.running_var[c], var * count / (count - 1));
}

static __global__ void take_running(tw_norm n)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    n.mean[c] = n.running_mean[c];
    n.rstd[c] = tw_norm_rstd((double)n.running_var[c]);
}

template <typename T, int V, bool ADD, bool RELU> static __global__ void apply_rows(tw_norm n, T *y, const T *x, const T *shortcut)
{
    const int c = my_channel(V);
    if (c >= n.C)
        return;
    const rows_of mine = my_rows(n.rows);
    float scale[V], shift[V];
    for (int k = 0; k < V; k++) {
        scale[k] = n.rstd[c + k] * (n.gamma != NULL ? n.gamma[c + k] : 1);
        shift[k] = (n.beta != NULL ? n.beta[c + k] : 0) - n.mean[c + k] * scale[k];
    }
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        const int64_t at = r * n.C + c;
        float v[V], other[V];
        tw_load<T, V>(v, x + at);
        if (ADD)
            tw_load<T, V>(other, shortcut + at);
#pragma unroll
        for (int k = 0; k < V; k++) {
            v[k] = v[k] * scale[k] + shift[k];
            if (ADD)
                v[k] += other[k];
            if (RELU)
                v[k] = v[k] < 0 ? 0 : v[k]; /* keeps NaN */
        }
        tw_store<T, V>(y + at, v);
    }
}

static __global__ void add_params(tw_norm n, float *dgamma, float *dbeta)
{
    const int c = (int)TW_GRID_FROM;
    if (c >= n.C)
        return;
    dgamma[c] += (float)tw_norm_normalised(n.sums[c], n.sums[n.C + c], n.mean[c], n.rstd[c]);
    dbeta[c] += (float)n.sums[c];
}

/* dx = a dy + b (x - mean) + e */
template <typename T, int V> static __global__ void backward_apply_rows(tw_norm n, T *dx, const T *dy, const T *x)
{
    const int c = my_channel(V);
    if (c >= n.C)
        return;
    const rows_of mine = my_rows(n.rows);
    float a[V], b[V], e[V], mean[V];
    for (int k = 0; k < V; k++) {
        const int i = c + k;
        const double rstd = (double)n.rstd[i], scale = rstd * (n.gamma != NULL ? (double)n.gamma[i] : 1), count = (double)n.count;
        mean[k] = n.mean[i];
        a[k] = (float)scale;
        b[k] = (float)(-scale * rstd * tw_norm_normalised(n.sums[i], n.sums[n.C + i], n.mean[i], n.rstd[i]) / count);
        e[k] = (float)(-scale * n.sums[i] / count);
    }
    for (int64_t r = mine.first + threadIdx.y; r < mine.last; r += blockDim.y) {
        const int64_t at = r * n.C + c;
        float g[V], v[V];
        tw_load<T, V>(g, dy + at);
        tw_load<T, V>(v, x + at);
#pragma unroll
        for (int k = 0; k < V; k++)
            g[k] = a[k] * g[k] + (b[k] * (v[k] - mean[k]) + e[k]);
        tw_store<T, V>(dx + at, g);
    }
}

/* Launchers. */

/* About four blocks for each of 132 multiprocessors: enough bytes under way to fill the memory's bandwidth. Depends on the shape
 * only. */
enum { BLOCKS = 528 };

typedef struct {
    int V;
    dim3 grid, block;
} cut;

static cut cut_rows(const tw_norm *n, tw_dtype t)
{
    cut k;
    const int wide = (int)(16 / tw_dtype_size(t));
    k.V = n->C % wide == 0 ? wide : 1;
    const int across = n->C / k.V;
    unsigned X = 8;
    while (X < 32 && (int)X < across)
        X *= 2;
    k.block = dim3(X, TW_BLOCK / X, 1);
    const unsigned columns = (unsigned)tw_pieces(across, X);
    int64_t down = tw_pieces(n->rows, (int64_t)k.block.y * 4);
    const int64_t most = columns < BLOCKS ? BLOCKS / columns : 1;
    k.grid = dim3(columns, (unsigned)(down < most ? down : most), 1);
    return k;
}

size_t tw_norm_partials(const tw_norm *n, tw_dtype t)
{
    return (size_t)cut_rows(n, t).grid.y * 2 * (size_t)n->C;
}

/* The kernel for the type and the width of the cut k; its first arguments are template arguments. */
#define BY_SHAPE(launch, t, ...)                                     \
    TW_BY_TYPE(t, do {                                               \
        if (k.V > 1)                                                 \
            launch(tw_wide<T>::N, __VA_ARGS__);                      \
        else                                                         \
            launch(1, __VA_ARGS__);                                  \
    } while (0))

static int finish(const tw_norm *n, const double *partial, cut k, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(sum_partials, (unsigned)tw_pieces(2 * n->C, 32), dim3(32, 8, 1), stream, n->sums, partial, (int)k.grid.y, 2 * n->C);
    return TW_LAUNCHED("norm sums");
}

#define LAUNCH_SUMS(V, x) TW_LAUNCH_BLOCK((sum_rows<T, V>), k.grid, k.block, stream, partial, (const T *)x, n->rows, n->C)

int tw_launch_norm_sums(const tw_norm *n, double *partial, const void *x, tw_dtype t, cudaStream_t stream)
{
    const cut k = cut_rows(n, t);
    BY_SHAPE(LAUNCH_SUMS, t, x);
    return TW_LAUNCHED("norm sums") != 0 ? -1 : finish(n, partial, k, stream);
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

#define LAUNCH_APPLY(V, add, relu) \
    TW_LAUNCH((apply_rows<T, V, add, relu>), k.grid, k.block, stream, *n, (T *)y, (const T *)x, (const T *)shortcut)

int tw_launch_norm_apply(const tw_norm *n, void *y, const void *x, const void *shortcut, tw_dtype t, cudaStream_t stream)
{
    const cut k = cut_rows(n, t);
    if (shortcut != NULL && n->relu)
        BY_SHAPE(LAUNCH_APPLY, t, true, true);
    else if (shortcut != NULL)
        BY_SHAPE(LAUNCH_APPLY, t, true, false);
    else if (n->relu)
        BY_SHAPE(LAUNCH_APPLY, t, false, true);
    else
        BY_SHAPE(LAUNCH_APPLY, t, false, false);
    return TW_LAUNCHED("norm apply");
}

#define LAUNCH_BACKWARD(V, two, relu)                                                                                             \
    TW_LAUNCH_BLOCK((backward_rows<T, V, two, relu>), k.grid, k.block, stream, partial, (T *)dy, (const T *)dy2, (const T *)y, \
                    (const T *)x, n->rows, n->C)

int tw_launch_norm_backward_sums(const tw_norm *n, double *partial, void *dy, const void *dy2, const void *y, const void *x, tw_dtype t,
                                 cudaStream_t stream)
{
    const cut k = cut_rows(n, t);
    if (dy2 != NULL && n->relu)
        BY_SHAPE(LAUNCH_BACKWARD, t, true, true);
    else if (dy2 != NULL)
        BY_SHAPE(LAUNCH_BACKWARD, t, true, false);
    else if (n->relu)
        BY_SHAPE(LAUNCH_BACKWARD, t, false, true);
    else
        BY_SHAPE(LAUNCH_BACKWARD, t, false, false);
    return TW_LAUNCHED("norm backward sums") != 0 ? -1 : finish(n, partial, k, stream);
}

int tw_launch_norm_backward_params(const tw_norm *n, float *dgamma, float *dbeta, cudaStream_t stream)
{
    TW_LAUNCH(add_params, (unsigned)tw_pieces(n->C, TW_BLOCK), TW_BLOCK, stream, *n, dgamma, dbeta);
    return TW_LAUNCHED("norm parameters");
}

#define LAUNCH_BACKWARD_APPLY(V, x) \
    TW_LAUNCH((backward_apply_rows<T, V>), k.grid, k.block, stream, *n, (T *)dx, (const T *)dy, (const T *)x)

int tw_launch_norm_backward_apply(const tw_norm *n, void *dx, const void *dy, const void *x, tw_dtype t, cudaStream_t stream)
{
    const cut k = cut_rows(n, t);
    BY_SHAPE(LAUNCH_BACKWARD_APPLY, t, x);
    return TW_LAUNCHED("norm backward");
}
