/* Statistics of logits [V*B,K], computed before the losses: per row the maximum and the sum of exponentials, per column the mean probability, and
 * the standard deviations of both, for the log. Sums are in an order that depends on the shape only. */
#include "cuda/kernel.h"

#include "cuda/board.h"
#include "nn/formula.h"

/* Kernels. */

/* One row per block: with STATS its maximum, the first class that has it, and the sums of exponentials; and the standard deviation. A thread sums in
 * f32, the threads' sums are added in f64. Rows are taken from the last to the first: the last was written last, and columns_of, which is next,
 * begins with the first. */
template <typename T, int W, bool STATS> static __global__ void rows_of(tw_row_stats *row, double *spread, const T *f, int K, float warm)
{
    enum { AT_ONCE = 4, ALL = TW_BLOCK * W };
    __shared__ float top[TW_BLOCK];
    __shared__ int place[TW_BLOCK];
    const unsigned r = gridDim.x - 1 - blockIdx.x;
    const T *x = f + (int64_t)r * K;
    const int t = (int)threadIdx.x;
    const float bits = TW_LOG2_E, warm_bits = TW_LOG2_E * warm;
    float most = -INFINITY, sum = 0, sum_warm = 0, s = 0, q = 0;
    int where = K;
    for (int from = t * W; from < K; from += AT_ONCE * ALL) {
        tw_pack<T, W> in[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (from + i * ALL < K)
                in[i] = tw_fetch<T, W>(x + from + i * ALL);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (from + i * ALL >= K)
                break;
            float v[W];
            tw_unpack<T, W>(v, in[i]);
#pragma unroll
            for (int j = 0; j < W; j++) {
                s += v[j];
                q += v[j] * v[j];
            }
            if (!STATS)
                continue;
            float above = v[0];
#pragma unroll
            for (int j = 1; j < W; j++)
                above = fmaxf(above, v[j]);
            if (above > most || where == K)
                where = from + i * ALL;
            const float before = most;
            most = fmaxf(most, above);
            sum *= tw_quick_exp2((before - most) * bits);
#pragma unroll
            for (int j = 0; j < W; j++)
                sum += tw_quick_exp2(v[j] * bits - most * bits);
            if (warm != 1) {
                sum_warm *= tw_quick_exp2((before - most) * warm_bits);
#pragma unroll
                for (int j = 0; j < W; j++)
                    sum_warm += tw_quick_exp2(v[j] * warm_bits - most * warm_bits);
            }
        }
    }
    if (spread != NULL) {
        const double all_s = tw_block_sum((double)s), all_q = tw_block_sum((double)q);
        if (t == 0)
            spread[r] = tw_deviation(all_s, all_q, K);
    }
    if (!STATS)
        return;
    top[t] = most;
    place[t] = where;
    for (int half = TW_BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half && (top[t + half] > top[t] || (top[t + half] == top[t] && place[t + half] < place[t]))) {
            top[t] = top[t + half];
            place[t] = place[t + half];
        }
    }
    __syncthreads();
    const double all = tw_block_sum((double)(sum * tw_quick_exp2((most - top[0]) * bits)));
    const double all_warm = warm != 1 ? tw_block_sum((double)(sum_warm * tw_quick_exp2((most - top[0]) * warm_bits))) : all;
    if (t != 0)
        return;
    int first = place[0]; /* up to here the first of W adjacent classes */
    for (int j = 0; j < W; j++)
        if (tw_widen(x[place[0] + j]) == top[0]) {
            first += j;
            break;
        }
    row[r] = {top[0], (float)(1 / all), (float)(1 / all_warm), first};
}

/* 32 W columns of one view per block, whose 8 threads down take every eighth row, AT_ONCE rows at a time. Sums over the batch: of the logits and
 * their squares into m.columns, with MEANS of s into m.mean. */
template <typename T, int W, bool MEANS> static __global__ void columns_of(tw_loss_memory m, const T *f, float warm)
{
    enum { DOWN = 8, AT_ONCE = 4, WIDE = 33 };
    __shared__ float room[3][DOWN][W * WIDE];
    const int lane = (int)threadIdx.x, y = (int)threadIdx.y, v = (int)blockIdx.y, first = (int)blockIdx.x * 32 * W, k = first + lane * W;
    const float bits = TW_LOG2_E * warm;
    float p[W] = {0}, s[W] = {0}, q[W] = {0};
    for (int b = y; k < m.K && b < m.B; b += DOWN * AT_ONCE) {
        tw_pack<T, W> in[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (b + i * DOWN < m.B)
                in[i] = tw_fetch<T, W>(f + ((int64_t)v * m.B + b + i * DOWN) * m.K + k);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (b + i * DOWN >= m.B)
                break;
            const tw_row_stats r = MEANS ? m.row[v * m.B + b + i * DOWN] : tw_row_stats{0, 0, 0, 0};
            const float below = r.most * bits;
            float x[W];
            tw_unpack<T, W>(x, in[i]);
#pragma unroll
            for (int j = 0; j < W; j++) {
                s[j] += x[j];
                q[j] += x[j] * x[j];
                if (MEANS)
                    p[j] += tw_quick_exp2(x[j] * bits - below) * r.inverse_tau;
            }
        }
    }
#pragma unroll
    for (int j = 0; j < W; j++) {
        room[0][y][j * WIDE + lane] = p[j];
        room[1][y][j * WIDE + lane] = s[j];
        room[2][y][j * WIDE + lane] = q[j];
    }
    __syncthreads();
    for (int c = y * 32 + lane; c < 32 * W && first + c < m.K; c += TW_BLOCK) {
        const int from = c % W * WIDE + c / W;
        const int64_t to = (int64_t)v * m.K + first + c;
        double sum[3] = {0};
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < DOWN; j++)
                sum[i] += (double)room[i][j][from];
        if (MEANS)
            m.mean[to] = sum[0];
        m.columns[to] = (float)sum[1];
        m.columns[(int64_t)m.V * m.K + to] = (float)sum[2];
    }
}

/* The standard deviations of the columns, from m.columns, summed per block. */
static __global__ void column_spread(tw_loss_memory m)
{
    const int64_t k = TW_GRID_FROM, all = (int64_t)m.V * m.K;
    double s = 0, q = 0;
    for (int v = 0; k < m.K && v < m.V; v++) {
        s += (double)m.columns[(int64_t)v * m.K + k];
        q += (double)m.columns[all + (int64_t)v * m.K + k];
    }
    const double sum = tw_block_sum(k < m.K ? tw_deviation(s, q, m.V * m.B) : 0);
    if (threadIdx.x == 0)
        m.spread[m.V * m.B + blockIdx.x] = sum;
}

static __global__ void mean_spread(double *of_rows, double *of_columns, tw_loss_memory m, int blocks)
{
    const int rows = m.V * m.B;
    double a = 0, b = 0;
    for (int i = (int)threadIdx.x; i < rows; i += TW_BLOCK)
        a += m.spread[i];
    for (int i = (int)threadIdx.x; i < blocks; i += TW_BLOCK)
        b += m.spread[rows + i];
    a = tw_block_sum(a);
    b = tw_block_sum(b);
    if (threadIdx.x == 0) {
        *of_rows = a / rows;
        *of_columns = b / m.K;
    }
}

static __global__ void take_largest(tw_loss_memory m)
{
    const int i = (int)TW_GRID_FROM;
    if (i < 2 * m.B)
        m.largest[i] = m.row[i].where;
}

/* Launchers. */

/* Runs the call with W = elements in 16 bytes if K is divisible by that, else with W = 1. */
#define BY_WIDTH(K, call)                 \
    do {                                  \
        if ((K) % tw_wide<T>::N == 0) {   \
            enum { W = tw_wide<T>::N };   \
            call;                         \
        } else {                          \
            enum { W = 1 };               \
            call;                         \
        }                                 \
    } while (0)

int tw_launch_rows(tw_row_stats *row, double *spread, const void *f, int64_t rows, int K, double tau, tw_dtype t, cudaStream_t stream)
{
    const float warm = (float)(1 / tau);
#define ROWS(stats)                                                                                                                              \
    TW_BY_TYPE(t, BY_WIDTH(K, TW_LAUNCH_BLOCK((rows_of<T, W, stats>), (unsigned)rows, TW_BLOCK, stream, row, spread, (const T *)f, K, warm)))
    if (row == NULL)
        ROWS(false);
    else
        ROWS(true);
    return TW_LAUNCHED("rows of logits");
}

int tw_launch_columns(const tw_loss_memory *m, const void *x, bool raw, tw_dtype t, cudaStream_t stream)
{
    const int blocks = (int)tw_pieces(m->K, TW_BLOCK);
    const dim3 block(32, 8, 1);
    tw_learn_results *r = &m->board->out;
#define COLUMNS(means)                                                                                                                       \
    TW_BY_TYPE(t, BY_WIDTH(m->K, TW_LAUNCH_BLOCK((columns_of<T, W, means>), dim3((unsigned)tw_pieces(m->K, 32 * W), (unsigned)m->V, 1), block, \
                                                 stream, *m, (const T *)x, (float)(1 / m->tau))))
    if (raw)
        COLUMNS(false);
    else
        COLUMNS(true);
    TW_LAUNCH_BLOCK(column_spread, (unsigned)blocks, TW_BLOCK, stream, *m);
    TW_LAUNCH_BLOCK(mean_spread, 1, TW_BLOCK, stream, raw ? &r->raw_row_std : &r->row_std, raw ? &r->raw_column_std : &r->column_std, *m, blocks);
    return TW_LAUNCHED("columns of logits");
}

int tw_launch_largest(const tw_loss_memory *m, cudaStream_t stream)
{
    TW_LAUNCH(take_largest, (unsigned)tw_pieces(2 * m->B, TW_BLOCK), TW_BLOCK, stream, *m);
    return TW_LAUNCHED("largest logits");
}

