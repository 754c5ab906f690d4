/* Evaluation's operations on rows of f32: top-k, elements above a limit, softmax cross-entropy, gathering rows by number. */
#include "cuda/kernel.h"

/* Kernels: one row per block. */

struct found {
    float v;
    int at; /* -1: none */
};

/* Whether a ranks before b: larger, or equal with the lower column. */
static __device__ inline bool before(found a, found b)
{
    return a.at >= 0 && (b.at < 0 || a.v > b.v || (a.v == b.v && a.at < b.at));
}

/* The first, in that order, of all threads' f. All threads must call it. */
static __device__ inline found block_first(found f)
{
    __shared__ found of_warp[TW_BLOCK / 32];
    __syncthreads();
    for (int lane = 16; lane > 0; lane /= 2) {
        found other;
        other.v = __shfl_xor_sync(0xffffffffu, f.v, lane);
        other.at = __shfl_xor_sync(0xffffffffu, f.at, lane);
        f = before(other, f) ? other : f;
    }
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = f;
    __syncthreads();
    for (int i = 0; i < TW_BLOCK / 32; i++)
        f = before(of_warp[i], f) ? of_warp[i] : f;
    return f;
}

/* k rounds: each finds the first element that ranks after the previous round's. */
static __global__ void largest(float *value, int32_t *at, const float *x, int n, int k)
{
    const int64_t row = blockIdx.x;
    found last = {INFINITY, -1};
    for (int i = 0; i < k; i++) {
        found first = {-INFINITY, -1};
        for (int j = (int)threadIdx.x; j < n; j += TW_BLOCK) {
            const found here = {x[row * n + j], j};
            const bool behind = i == 0 || before(last, here);
            if (here.v == here.v && behind && before(here, first))
                first = here;
        }
        last = block_first(first);
        if (threadIdx.x == 0) {
            value[row * k + i] = last.v;
            at[row * k + i] = last.at;
        }
        if (last.at < 0)
            last = {-INFINITY, INT_MAX}; /* nothing ranks after it */
    }
}

/* The thread's range from .. to - 1 of the row; returns how many of it are above the limit. */
static __device__ inline int count_mine(const float *row, float limit, int n, int *from, int *to)
{
    const int each = (n + TW_BLOCK - 1) / TW_BLOCK;
    int count = 0;
    *from = (int)threadIdx.x * each;
    *to = *from + each < n ? *from + each : n;
    for (int j = *from; j < *to; j++)
        count += row[j] > limit;
    return count;
}

static __global__ void count_above(int32_t *count, const float *x, int stride, const float *limit, int n)
{
    const int64_t row = blockIdx.x;
    int from, to;
    const double all = tw_block_sum((double)count_mine(x + row * stride, limit[row], n, &from, &to));
    if (threadIdx.x == 0)
        count[row] = (int32_t)all;
}

/* In the row's order. start: index of each row's first result. */
static __global__ void list_above(float *value, int32_t *at, const int64_t *start, const float *x, int stride, const float *limit, int n)
{
    __shared__ int sum[TW_BLOCK];
    const int64_t row = blockIdx.x;
    if (start[row] == start[row + 1])
        return;
    const float *own = x + row * stride;
    int from, to;
    const int mine = count_mine(own, limit[row], n, &from, &to);
    sum[threadIdx.x] = mine;
    __syncthreads();
    for (int d = 1; d < TW_BLOCK; d *= 2) {
        const int more = (int)threadIdx.x >= d ? sum[threadIdx.x - d] : 0;
        __syncthreads();
        sum[threadIdx.x] += more;
        __syncthreads();
    }
    int64_t to_at = start[row] + sum[threadIdx.x] - mine;
    for (int j = from; j < to; j++)
        if (own[j] > limit[row]) {
            value[to_at] = own[j];
            at[to_at++] = j;
        }
}

/* Rows from n on: no loss, zero gradient. */
static __global__ void cross_entropy(double *loss, float *z, const int32_t *label, int n, int C)
{
    const int row = (int)blockIdx.x;
    float *own = z + (int64_t)row * C;
    found most = {-INFINITY, -1};
    bool bad = false;
    for (int c = (int)threadIdx.x; c < C && row < n; c += TW_BLOCK) {
        const found here = {own[c], c};
        bad = bad || !(fabsf(here.v) <= 3.4028235e38f);
        most = before(here, most) ? here : most;
    }
    const bool finite = tw_block_sum(bad ? 1 : 0) == 0;
    most = block_first(most);
    double sum = 0;
    for (int c = (int)threadIdx.x; c < C && row < n && finite; c += TW_BLOCK)
        sum += (double)expf(own[c] - most.v);
    sum = tw_block_sum(sum);
    if (threadIdx.x == 0 && row < n)
        loss[row] = finite ? log(sum) - ((double)own[label[row]] - (double)most.v) : (double)NAN;
    __syncthreads(); /* the label's logit has been read */
    for (int c = (int)threadIdx.x; c < C; c += TW_BLOCK)
        own[c] = row < n && finite ? ((float)((double)expf(own[c] - most.v) / sum) - (c == label[row] ? 1 : 0)) / (float)n : 0;
}

static __global__ void gather_rows(float *y, const float *x, const uint64_t *number, int D, int64_t n)
{
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP)
        y[i] = x[(int64_t)number[i / D] * D + i % D];
}

/* Launchers. */

int tw_launch_rows_largest(float *value, int32_t *at, const float *x, int rows, int n, int k, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(largest, (unsigned)rows, TW_BLOCK, stream, value, at, x, n, k);
    return TW_LAUNCHED("largest");
}

int tw_launch_count_above(int32_t *count, const float *x, int stride, const float *limit, int rows, int n, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(count_above, (unsigned)rows, TW_BLOCK, stream, count, x, stride, limit, n);
    return TW_LAUNCHED("count above");
}

int tw_launch_list_above(float *value, int32_t *at, const int64_t *start, const float *x, int stride, const float *limit, int rows, int n,
                         cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(list_above, (unsigned)rows, TW_BLOCK, stream, value, at, start, x, stride, limit, n);
    return TW_LAUNCHED("list above");
}

int tw_launch_cross_entropy(double *loss, float *z, const int32_t *label, int rows, int n, int C, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(cross_entropy, (unsigned)rows, TW_BLOCK, stream, loss, z, label, n, C);
    return TW_LAUNCHED("cross-entropy");
}

int tw_launch_gather_rows(float *y, const float *x, const uint64_t *number, int rows, int D, cudaStream_t stream)
{
    const int64_t n = (int64_t)rows * D;
    TW_LAUNCH(gather_rows, tw_blocks(n), TW_BLOCK, stream, y, x, number, D, n);
    return TW_LAUNCHED("rows by number");
}
