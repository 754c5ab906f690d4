/* The self-labeling loss and its gradient: see train/selflabel.c; and, for the log, the entropies of tw_loss_entropies. */
#include "cuda/kernel.h"

#include "cuda/board.h"
#include "nn/formula.h"

/* Kernels. */

/* Each sample's anchor, label and confidence, from the rows of views 0 and 1 of the student or the teacher; `of` [2*B]. */
static __global__ void anchors(tw_loss_memory m, const tw_row_stats *of)
{
    const int b = (int)TW_GRID_FROM;
    if (b >= m.B)
        return;
    const tw_row_stats a = of[b], c = of[m.B + b];
    const bool second = c.inverse > a.inverse || isnan(c.inverse); /* the largest probability is exp(0) / sum */
    m.confidence[b] = second ? c.inverse : a.inverse;
    m.label[b] = second ? c.where : a.where;
    m.label[m.B + b] = second ? 1 : 0;
}

/* The threshold, the value at rank floor(q B) of the confidences in descending order, and how many samples are above it. One block. */
static __global__ void select(tw_loss_memory m)
{
    __shared__ float threshold;
    const double q = m.board->in.quantile;
    int rank = (int)floor(q * m.B);
    rank = rank < m.B ? rank : m.B - 1;
    if (threadIdx.x == 0)
        threshold = (float)m.board->in.threshold;
    __syncthreads();
    for (int b = (int)threadIdx.x; q > 0 && b < m.B; b += TW_BLOCK) {
        int above = 0, equal = 0;
        for (int i = 0; i < m.B; i++) {
            above += m.confidence[i] > m.confidence[b];
            equal += m.confidence[i] == m.confidence[b];
        }
        if (above <= rank && rank < above + equal)
            threshold = m.confidence[b]; /* threads with equal values write the same */
    }
    __syncthreads();
    double selected = 0;
    for (int b = (int)threadIdx.x; b < m.B; b += TW_BLOCK)
        selected += m.confidence[b] > threshold;
    selected = tw_block_sum(selected);
    if (threadIdx.x == 0) {
        m.board->out.threshold = (double)threshold;
        m.board->out.selected = (int64_t)selected;
    }
}

/* One row per block: the gradient of its cross-entropy with its sample's label, or zeros; the loss in part [V*B]. */
template <typename T> static __global__ void cross_entropies(tw_loss_memory m, T *d, const T *f)
{
    const int v = (int)blockIdx.x / m.B, b = (int)blockIdx.x % m.B, label = m.label[b];
    const int64_t at = (int64_t)blockIdx.x * m.K, selected = m.board->out.selected;
    const bool none = v == m.label[m.B + b] || !(m.confidence[b] > (float)m.board->out.threshold);
    const double share = selected > 0 ? 1.0 / ((double)selected * (m.V - 1)) : 0;
    const tw_row_stats r = m.row[blockIdx.x];
    const float scale = (float)(share * m.B / m.global) * m.board->scale; /* the loss is the mean over the ranks */
    for (int k = (int)threadIdx.x; k < m.K; k += TW_BLOCK)
        d[at + k] = tw_narrow<T>(none ? 0 : (expf(tw_widen(f[at + k]) - r.most) * r.inverse - (k == label ? 1 : 0)) * scale);
    if (threadIdx.x == 0)
        m.spread[blockIdx.x] = isnan(m.confidence[b]) ? (double)NAN
                               : none                 ? 0
                                                      : share * ((double)r.most - (double)tw_widen(f[at + label]) - log((double)r.inverse));
}

/* One row of views 0 and 1 per block: the entropy of its s into m.part. */
template <typename T> static __global__ void row_entropies(tw_loss_memory m, const T *f, float warm)
{
    const int64_t at = (int64_t)blockIdx.x * m.K;
    const tw_row_stats r = m.row[blockIdx.x];
    float eh = 0;
    for (int k = (int)threadIdx.x; k < m.K; k += TW_BLOCK) {
        const float s = expf((tw_widen(f[at + k]) - r.most) * warm) * r.inverse_tau;
        eh -= s * logf(s + TW_LOSS_EPS);
    }
    const double all = tw_block_sum((double)eh);
    if (threadIdx.x == 0)
        m.part[blockIdx.x] = all;
}

/* he, from the means over all ranks, and eh. One block. */
static __global__ void mean_entropies(tw_loss_memory m)
{
    double he = 0;
    for (int i = (int)threadIdx.x; i < 2 * m.K; i += TW_BLOCK) {
        const double mean = m.mean[i] / m.global;
        he -= mean * log(mean + (double)TW_LOSS_EPS) / 2;
    }
    he = tw_block_sum(he);
    if (threadIdx.x == 0)
        m.board->out.he = he;
}

static __global__ void add_rows(tw_loss_memory m)
{
    double loss = 0, eh = 0;
    for (int i = (int)threadIdx.x; i < m.V * m.B; i += TW_BLOCK)
        loss += m.spread[i];
    for (int i = (int)threadIdx.x; i < 2 * m.B; i += TW_BLOCK)
        eh += m.part[i];
    loss = tw_block_sum(loss);
    eh = tw_block_sum(eh);
    if (threadIdx.x != 0)
        return;
    m.board->sums[0] = loss;
    m.board->sums[1] = m.board->out.threshold;
    m.board->sums[2] = (double)m.board->out.selected;
    m.board->sums[3] = eh / 2;
}

/* Each rank labels its own batch; the results are means over the ranks. */
static __global__ void finish_terms(tw_loss_memory m)
{
    const double ranks = m.global / m.B;
    m.board->out.loss = m.board->sums[0] / ranks;
    m.board->out.threshold = m.board->sums[1] / ranks;
    m.board->out.selected = (int64_t)m.board->sums[2];
    m.board->out.kl = NAN;
    m.board->out.eh = m.board->sums[3] / m.global;
}

/* Launchers. */

int tw_launch_selflabel(const tw_loss_memory *m, void *d, const void *f, bool taught, tw_dtype t, cudaStream_t stream)
{
    TW_LAUNCH(anchors, (unsigned)tw_pieces(m->B, TW_BLOCK), TW_BLOCK, stream, *m, taught ? m->taught : m->row);
    TW_LAUNCH_BLOCK(select, 1, TW_BLOCK, stream, *m);
    TW_BY_TYPE(t, TW_LAUNCH((cross_entropies<T>), (unsigned)(m->V * m->B), TW_BLOCK, stream, *m, (T *)d, (const T *)f));
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((row_entropies<T>), (unsigned)(2 * m->B), TW_BLOCK, stream, *m, (const T *)f, (float)(1 / m->tau)));
    TW_LAUNCH_BLOCK(mean_entropies, 1, TW_BLOCK, stream, *m);
    TW_LAUNCH_BLOCK(add_rows, 1, TW_BLOCK, stream, *m);
    return TW_LAUNCHED("self-labeling");
}

int tw_launch_selflabel_terms(const tw_loss_memory *m, cudaStream_t stream)
{
    TW_LAUNCH(finish_terms, 1, 1, stream, *m);
    return TW_LAUNCHED("terms of self-labeling");
}
