/* Cross-entropy with labels and its gradient: see train/labels.c. */
#include "cuda/kernel.h"

#include "cuda/board.h"

/* Kernels. */

/* One row per block: its gradient d, its loss into m.spread, the number of logits that rank before the label's into m.dots. */
template <typename T> static __global__ void label_rows(tw_loss_memory m, T *d, const T *f)
{
    const int row = (int)blockIdx.x, label = m.label[row % m.B];
    const int64_t at = (int64_t)row * m.K;
    const tw_row_stats r = m.row[row];
    const float own = tw_widen(f[at + label]), scale = (float)(1 / (m.V * m.global)) * m.board->scale;
    double before = 0;
    for (int k = (int)threadIdx.x; k < m.K; k += TW_BLOCK) {
        const float v = tw_widen(f[at + k]);
        before += v > own || (v == own && k < label);
        d[at + k] = tw_narrow<T>((expf(v - r.most) * r.inverse - (k == label ? 1 : 0)) * scale);
    }
    before = tw_block_sum(before);
    if (threadIdx.x != 0)
        return;
    const double loss = (double)r.most - (double)own - log((double)r.inverse);
    m.spread[row] = loss;
    m.dots[row] = isfinite(loss) ? before : m.K;
}

/* Sums the rows' losses and hits, in one block. */
static __global__ void add_label_rows(tw_loss_memory m)
{
    double loss = 0, first = 0, five = 0;
    for (int i = (int)threadIdx.x; i < m.V * m.B; i += TW_BLOCK) {
        loss += m.spread[i];
        first += m.dots[i] < 1;
        five += m.dots[i] < 5;
    }
    loss = tw_block_sum(loss);
    first = tw_block_sum(first);
    five = tw_block_sum(five);
    if (threadIdx.x != 0)
        return;
    m.board->sums[0] = loss;
    m.board->sums[1] = first;
    m.board->sums[2] = five;
}

/* The step's results, from the sums over all ranks. */
static __global__ void finish_labels(tw_loss_memory m)
{
    m.board->out.loss = m.board->sums[0] / (m.V * m.global);
    m.board->out.hits[0] = (int64_t)m.board->sums[1];
    m.board->out.hits[1] = (int64_t)m.board->sums[2];
    m.board->out.kl = m.board->out.eh = m.board->out.he = NAN;
}

/* Launchers. */

int tw_launch_labels(const tw_loss_memory *m, void *d, const void *f, tw_dtype t, cudaStream_t stream)
{
    TW_BY_TYPE(t, TW_LAUNCH_BLOCK((label_rows<T>), (unsigned)(m->V * m->B), TW_BLOCK, stream, *m, (T *)d, (const T *)f));
    TW_LAUNCH_BLOCK(add_label_rows, 1, TW_BLOCK, stream, *m);
    return TW_LAUNCHED("cross-entropy");
}

int tw_launch_labels_terms(const tw_loss_memory *m, cudaStream_t stream)
{
    TW_LAUNCH(finish_labels, 1, 1, stream, *m);
    return TW_LAUNCHED("terms of cross-entropy");
}
