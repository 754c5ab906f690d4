/* The TWIST loss and its gradient over [V*B,K] logits, read four times (rows, columns, sums over classes, gradient) and written once;
 * probabilities exist in registers only. What is derived is in train/loss.c, whose formulas (nn/formula.h) these are. Sums are in an order
 * that depends on the shape only. */
#include "cuda/kernel.h"

#include "cuda/board.h"
#include "nn/formula.h"

/* Kernels. */

/* A row a block: its maximum and where it is first, the sums of exponentials less it, the deviation. A thread's numbers are summed in f32, the
 * threads' in f64. */
template <typename T, int W> static __global__ void rows_of(tw_row_stats *row, double *spread, const T *f, int K, float warm)
{
    enum { AT_ONCE = 4, ALL = TW_BLOCK * W };
    __shared__ float top[TW_BLOCK];
    __shared__ int place[TW_BLOCK];
    const T *x = f + (int64_t)blockIdx.x * K;
    const int t = (int)threadIdx.x;
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
            const float before = most;
            float v[W];
            tw_unpack<T, W>(v, in[i]);
#pragma unroll
            for (int j = 0; j < W; j++)
                if (v[j] > most || where == K) {
                    most = v[j];
                    where = from + i * ALL + j;
                }
            if (most > before) {
                sum *= expf(before - most);
                sum_warm *= expf((before - most) * warm);
            }
#pragma unroll
            for (int j = 0; j < W; j++) {
                s += v[j];
                q += v[j] * v[j];
                sum += expf(v[j] - most);
                if (warm != 1)
                    sum_warm += expf((v[j] - most) * warm);
            }
        }
    }
    if (spread != NULL) {
        const double all_s = tw_block_sum((double)s), all_q = tw_block_sum((double)q);
        if (t == 0)
            spread[blockIdx.x] = tw_deviation(all_s, all_q, K);
    }
    if (row == NULL)
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
    const double all = tw_block_sum((double)(sum * expf(most - top[0])));
    const double all_warm = warm != 1 ? tw_block_sum((double)(sum_warm * expf((most - top[0]) * warm))) : all;
    if (t == 0)
        row[blockIdx.x] = {top[0], (float)(1 / all), (float)(1 / all_warm), place[0]};
}

/* 32 W columns of one view a block, whose 8 threads down take every eighth row, AT_ONCE of them at a time: the sums over the batch of the
 * numbers and their squares into m.columns, with MEANS those of s into m.mean. */
template <typename T, int W, bool MEANS> static __global__ void columns_of(tw_loss_memory m, const T *f, float warm)
{
    enum { DOWN = 8, AT_ONCE = 4, WIDE = 33 };
    __shared__ float room[3][DOWN][W * WIDE];
    const int lane = (int)threadIdx.x, y = (int)threadIdx.y, v = (int)blockIdx.y, first = (int)blockIdx.x * 32 * W, k = first + lane * W;
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
            float x[W];
            tw_unpack<T, W>(x, in[i]);
#pragma unroll
            for (int j = 0; j < W; j++) {
                s[j] += x[j];
                q[j] += x[j] * x[j];
                if (MEANS)
                    p[j] += tw_quick_exp((x[j] - r.most) * warm) * r.inverse_tau;
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

/* The deviations of columns from m.columns, summed by blocks. */
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

/* dmean, and a block's part of he. */
static __global__ void diversity(tw_loss_memory m, bool taught)
{
    const int64_t i = TW_GRID_FROM;
    double he = 0;
    if (i < (int64_t)m.V * m.K) {
        const double mean = m.mean[i] / m.global, log_m = log(mean + (double)TW_LOSS_EPS);
        const double weight = tw_view_weight((int)(i / m.K), m.V, taught);
        he = -weight * mean * log_m;
        m.dmean[i] = (float)(m.lam2 * weight / m.global * tw_mean_entropy_slope(mean, log_m));
    }
    he = tw_block_sum(he);
    if (threadIdx.x == 0)
        m.part[2 * m.B + blockIdx.x] = he;
}

/* What a block needs to know of the views of its sample, and of the teacher's. */
struct sample_rows {
    float most[TW_MOST_VIEWS + 2], inverse[TW_MOST_VIEWS + 2], inverse_tau[TW_MOST_VIEWS + 2];
    float weight[TW_MOST_VIEWS], eh_scale[TW_MOST_VIEWS];
    float kl_scale;
};

/* All threads of the block call. */
static __device__ inline void read_rows(sample_rows *rows, const tw_loss_memory &m, int b, bool taught)
{
    const int t = (int)threadIdx.x;
    if (t < m.V + (taught ? 2 : 0)) {
        const tw_row_stats r = t < m.V ? m.row[(int64_t)t * m.B + b] : m.taught[(int64_t)(t - m.V) * m.B + b];
        rows->most[t] = r.most;
        rows->inverse[t] = r.inverse;
        rows->inverse_tau[t] = r.inverse_tau;
    }
    if (t < m.V) {
        const double weight = tw_view_weight(t, m.V, taught);
        rows->weight[t] = (float)weight;
        rows->eh_scale[t] = (float)(weight * (1 + m.lam1) / m.global);
    }
    if (t == 0)
        rows->kl_scale = (float)(1 / (tw_divergences(m.V, taught) * m.global));
    __syncthreads();
}

/* Two views and the usual fourteen are known to the compiler; of others there are MOST at most. */
template <int MOST> static __device__ inline int count_views(const tw_loss_memory &m)
{
    return MOST == 2 || MOST == 14 ? MOST : m.V;
}

/* All views of one class of one sample. p: at temperature 1; s: at tau, the same where COLD. */
template <int MOST, bool COLD> struct views {
    float p[MOST], log_p[MOST], warm_s[COLD ? 1 : MOST], warm_log_s[COLD ? 1 : MOST];
    float sum, sum_log, t[2];

    __device__ inline float s(int v) const
    {
        return COLD ? p[v] : warm_s[v];
    }
    __device__ inline float log_s(int v) const
    {
        return COLD ? log_p[v] : warm_log_s[v];
    }
};

template <typename T, int MOST, bool COLD>
static __device__ inline void read_views(views<MOST, COLD> *x, const sample_rows &rows, const tw_loss_memory &m, const T *f, const T *taught, int b,
                                         int k, float warm)
{
    float f_of[MOST];
#pragma unroll
    for (int v = 0; v < MOST; v++)
        f_of[v] = v < count_views<MOST>(m) ? tw_widen(f[((int64_t)v * m.B + b) * m.K + k]) : 0;
    x->sum = x->sum_log = 0;
#pragma unroll
    for (int v = 0; v < MOST; v++) {
        if (v >= count_views<MOST>(m))
            break;
        const float d = f_of[v] - rows.most[v];
        x->p[v] = tw_quick_exp(d) * rows.inverse[v];
        x->log_p[v] = tw_quick_log(x->p[v] + TW_LOSS_EPS);
        if (!COLD) {
            x->warm_s[v] = tw_quick_exp(d * warm) * rows.inverse_tau[v];
            x->warm_log_s[v] = tw_quick_log(x->warm_s[v] + TW_LOSS_EPS);
        }
        x->sum += x->p[v];
        x->sum_log += x->log_p[v];
    }
    for (int v = 0; taught != NULL && v < 2; v++)
        x->t[v] = tw_quick_exp((tw_widen(taught[((int64_t)v * m.B + b) * m.K + k]) - rows.most[m.V + v]) * warm) * rows.inverse_tau[m.V + v];
}

/* The derivatives of view v by p (of the divergences between views) and by s (of the entropies, and the divergences from a teacher). */
template <int MOST, bool COLD>
static __device__ inline void slopes(float *by_p, float *by_s, const views<MOST, COLD> &x, const sample_rows &rows, const tw_loss_memory &m, int v,
                                     float dmean, bool taught)
{
    const float over = tw_loss_over(x.s(v)), over_p = COLD ? over : tw_loss_over(x.p[v]);
    if (taught)
        *by_p = 0;
    else if (MOST == 2 || v < 2)
        *by_p = rows.kl_scale * tw_pairs_slope_first((float)m.V, x.p[v], x.log_p[v], over_p, x.sum, x.sum_log);
    else
        *by_p = rows.kl_scale * tw_pairs_slope_other(x.p[v], x.log_p[v], over_p, x.p[0], x.p[1], x.log_p[0], x.log_p[1]);
    *by_s = dmean - rows.eh_scale[v] * tw_entropy_slope(x.s(v), x.log_s(v), over);
    if (taught)
        *by_s -= rows.kl_scale * ((v == 0 ? 0 : x.t[0]) + (v == 1 ? 0 : x.t[1])) * over;
}

/* The divergences of one class, and its part of the entropies. */
template <int MOST, bool COLD>
static __device__ inline void terms_of(float *kl, float *eh, const views<MOST, COLD> &x, const sample_rows &rows, const tw_loss_memory &m,
                                       bool taught)
{
#pragma unroll
    for (int v = 0; v < MOST; v++) {
        if (v >= count_views<MOST>(m))
            break;
        *eh -= rows.weight[v] * x.s(v) * x.log_s(v);
        if (taught) {
            *kl -= ((v == 0 ? 0 : x.t[0]) + (v == 1 ? 0 : x.t[1])) * x.log_s(v);
            continue;
        }
        if (v > 0)
            *kl += (x.p[0] - x.p[v]) * (x.log_p[0] - x.log_p[v]);
        if (v > 1)
            *kl += (x.p[1] - x.p[v]) * (x.log_p[1] - x.log_p[v]);
    }
    for (int v = 0; taught && v < 2; v++)
        *kl += (float)(m.V - 1) * x.t[v] * tw_quick_log(x.t[v] + TW_LOSS_EPS);
}

/* The classes of a block: gridDim.x blocks share those of a sample. */
static __device__ inline int first_class(int K)
{
    return (int)((int64_t)K * blockIdx.x / gridDim.x);
}

static __device__ inline int last_class(int K)
{
    return (int)((int64_t)K * (blockIdx.x + 1) / gridDim.x);
}

/* Of a block's classes the divergences, the entropies, and of each view <p, dp> and <s, ds> (their sum where s is p), into
 * dots [B, gridDim.x, 2 + 2V]. A thread's few classes are summed in f32, the threads in f64. */
template <typename T, int MOST, bool COLD>
static __global__ void __launch_bounds__(TW_BLOCK, MOST > 16 ? 1 : 2) twist_sums(tw_loss_memory m, const T *f, const T *taught, float warm)
{
    __shared__ sample_rows rows;
    const int b = (int)blockIdx.y, last = last_class(m.K);
    const bool has_teacher = taught != NULL;
    float kl = 0, eh = 0, dot_p[MOST] = {0}, dot_s[COLD ? 1 : MOST] = {0};
    read_rows(&rows, m, b, has_teacher);
    for (int k = first_class(m.K) + (int)threadIdx.x; k < last; k += TW_BLOCK) {
        views<MOST, COLD> x;
        read_views<T, MOST, COLD>(&x, rows, m, f, taught, b, k, warm);
        terms_of<MOST, COLD>(&kl, &eh, x, rows, m, has_teacher);
#pragma unroll
        for (int v = 0; v < MOST; v++) {
            if (v >= count_views<MOST>(m))
                break;
            float by_p, by_s;
            slopes<MOST, COLD>(&by_p, &by_s, x, rows, m, v, m.dmean[(int64_t)v * m.K + k], has_teacher);
            if (COLD)
                dot_p[v] += x.p[v] * (by_p + by_s);
            else {
                dot_p[v] += x.p[v] * by_p;
                dot_s[v] += x.s(v) * by_s;
            }
        }
    }
    double *to = m.dots + ((int64_t)b * gridDim.x + blockIdx.x) * (2 + 2 * m.V);
    const double all_kl = tw_block_sum((double)kl), all_eh = tw_block_sum((double)eh);
    if (threadIdx.x == 0) {
        to[0] = all_kl;
        to[1] = all_eh;
    }
#pragma unroll
    for (int v = 0; v < MOST; v++) {
        if (v >= count_views<MOST>(m))
            break;
        const double p = tw_block_sum((double)dot_p[v]), q = COLD ? 0 : tw_block_sum((double)dot_s[COLD ? 0 : v]);
        if (threadIdx.x == 0) {
            to[2 + 2 * v] = p;
            to[3 + 2 * v] = q;
        }
    }
}

/* The gradient through both softmaxes; a sample's first block adds up its terms. */
template <typename T, int MOST, bool COLD>
static __global__ void __launch_bounds__(TW_BLOCK, MOST > 16 ? 1 : 2) twist_gradient(tw_loss_memory m, T *d, const T *f, const T *taught, float warm)
{
    __shared__ sample_rows rows;
    __shared__ float dot[2 * TW_MOST_VIEWS];
    const int b = (int)blockIdx.y, t = (int)threadIdx.x, each = 2 + 2 * m.V, last = last_class(m.K);
    const bool has_teacher = taught != NULL;
    const float scale = m.board->scale;
    if (t < each) {
        double total = 0;
        for (int i = 0; i < (int)gridDim.x; i++)
            total += m.dots[((int64_t)b * gridDim.x + i) * each + t];
        if (t >= 2)
            dot[t - 2] = (float)total;
        else if (blockIdx.x == 0)
            m.part[2 * b + t] = total;
    }
    read_rows(&rows, m, b, has_teacher);
    for (int k = first_class(m.K) + t; k < last; k += TW_BLOCK) {
        views<MOST, COLD> x;
        float dmean[MOST]; /* all at once: no load passes a store */
#pragma unroll
        for (int v = 0; v < MOST; v++)
            dmean[v] = v < count_views<MOST>(m) ? m.dmean[(int64_t)v * m.K + k] : 0;
        read_views<T, MOST, COLD>(&x, rows, m, f, taught, b, k, warm);
#pragma unroll
        for (int v = 0; v < MOST; v++) {
            if (v >= count_views<MOST>(m))
                break;
            float by_p, by_s;
            slopes<MOST, COLD>(&by_p, &by_s, x, rows, m, v, dmean[v], has_teacher);
            const float g = COLD ? x.p[v] * (by_p + by_s - dot[2 * v])
                                 : x.p[v] * (by_p - dot[2 * v]) + warm * x.s(v) * (by_s - dot[2 * v + 1]);
            d[((int64_t)v * m.B + b) * m.K + k] = tw_narrow<T>(g * scale);
        }
    }
}

/* kl and eh of this rank's samples; he, which is everybody's. */
static __global__ void add_samples(tw_loss_memory m, int blocks)
{
    double kl = 0, eh = 0, he = 0;
    for (int b = (int)threadIdx.x; b < m.B; b += TW_BLOCK) {
        kl += m.part[2 * b];
        eh += m.part[2 * b + 1];
    }
    for (int i = (int)threadIdx.x; i < blocks; i += TW_BLOCK)
        he += m.part[2 * m.B + i];
    kl = tw_block_sum(kl);
    eh = tw_block_sum(eh);
    he = tw_block_sum(he);
    if (threadIdx.x == 0) {
        m.board->sums[0] = kl;
        m.board->sums[1] = eh;
        m.board->out.he = he;
    }
}

static __global__ void finish_terms(tw_loss_memory m, bool taught)
{
    tw_learn_results *r = &m.board->out;
    r->kl = m.board->sums[0] / (tw_divergences(m.V, taught) * m.global);
    r->eh = m.board->sums[1] / m.global;
    r->loss = r->kl + (1 + m.lam1) * r->eh - m.lam2 * r->he;
}

/* Launchers. */

static float warmth(const tw_loss_memory *m)
{
    return (float)(1 / m->tau);
}

static int diversity_blocks(const tw_loss_memory *m)
{
    return (int)tw_pieces((int64_t)m->V * m->K, TW_BLOCK);
}

/* The call with W numbers of T in 16 bytes where rows of K begin at such, else with one. */
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
    TW_BY_TYPE(t, BY_WIDTH(K, TW_LAUNCH_BLOCK((rows_of<T, W>), (unsigned)rows, TW_BLOCK, stream, row, spread, (const T *)f, K, (float)(1 / tau))));
    return TW_LAUNCHED("rows of logits");
}

int tw_launch_columns(const tw_loss_memory *m, const void *x, bool raw, tw_dtype t, cudaStream_t stream)
{
    const int blocks = (int)tw_pieces(m->K, TW_BLOCK);
    const dim3 block(32, 8, 1);
    tw_learn_results *r = &m->board->out;
#define COLUMNS(means)                                                                                                                       \
    TW_BY_TYPE(t, BY_WIDTH(m->K, TW_LAUNCH_BLOCK((columns_of<T, W, means>), dim3((unsigned)tw_pieces(m->K, 32 * W), (unsigned)m->V, 1), block, \
                                                 stream, *m, (const T *)x, warmth(m))))
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

int tw_launch_diversity(const tw_loss_memory *m, bool taught, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(diversity, (unsigned)diversity_blocks(m), TW_BLOCK, stream, *m, taught);
    return TW_LAUNCHED("diversity");
}

int tw_twist_blocks(const tw_loss_memory *m)
{
    enum { BLOCKS = 528 }; /* four for each of 132 multiprocessors, two rounds of what they hold: no more, or a third one begins */
    const int64_t most = tw_pieces(m->K, TW_BLOCK), wanted = m->B < BLOCKS ? BLOCKS / m->B : 1;
    return (int)(wanted < most ? wanted : most);
}

#define LAUNCH_TWIST(most, cold)                                                                                                    \
    TW_BY_TYPE(t, do {                                                                                                              \
        TW_LAUNCH_BLOCK((twist_sums<T, most, cold>), grid, TW_BLOCK, stream, *m, (const T *)f, (const T *)taught, warmth(m));       \
        TW_LAUNCH_BLOCK((twist_gradient<T, most, cold>), grid, TW_BLOCK, stream, *m, (T *)d, (const T *)f, (const T *)taught,       \
                        warmth(m));                                                                                                 \
    } while (0))

#define LAUNCH_COLD(most)              \
    do {                               \
        if (m->tau == 1)               \
            LAUNCH_TWIST(most, true);  \
        else                           \
            LAUNCH_TWIST(most, false); \
    } while (0)

int tw_launch_twist(const tw_loss_memory *m, void *d, const void *f, const void *taught, tw_dtype t, cudaStream_t stream)
{
    const dim3 grid((unsigned)tw_twist_blocks(m), (unsigned)m->B, 1);
    if (m->V == 2)
        LAUNCH_COLD(2);
    else if (m->V == 14)
        LAUNCH_COLD(14);
    else if (m->V <= 8)
        LAUNCH_COLD(8);
    else if (m->V <= 16)
        LAUNCH_COLD(16);
    else
        LAUNCH_COLD(TW_MOST_VIEWS);
    if (TW_LAUNCHED("TWIST loss") != 0)
        return -1;
    TW_LAUNCH_BLOCK(add_samples, 1, TW_BLOCK, stream, *m, diversity_blocks(m));
    return TW_LAUNCHED("TWIST loss");
}

int tw_launch_twist_terms(const tw_loss_memory *m, bool taught, cudaStream_t stream)
{
    TW_LAUNCH(finish_terms, 1, 1, stream, *m, taught);
    return TW_LAUNCHED("terms of the loss");
}
