/* Inside lib/cuda: the state in device memory of a device that does the whole training step (learn_new), and the launchers of its kernels
 * (logits.cu, loss.cu, selflabel.cu, labels.cu, update.cu, stage.cu). Launchers queue work on the stream and return 0, or -1 and tw_error().
 * s is softmax(logits / tau), as in twist-method.md 2. */
#ifndef TW_CUDA_BOARD_H
#define TW_CUDA_BOARD_H

#include "cuda/launch.h"

enum { TW_MOST_VIEWS = 32, TW_CHUNK = 1 << 16 };

/* Exchanged with the host: `in` is copied from it at the beginning of a step, `out` to it at the end. */
typedef struct {
    tw_learn_numbers in;
    tw_learn_results out;
    double sums[4];  /* of this rank, then all-reduced: TWIST: kl and eh, not yet divided; self-labeling: loss, threshold, selected, eh; labels:
                      * loss and hits */
    float scale;     /* loss scale in fp16; else 1 */
    int64_t good;    /* steps since the scale last changed */
    float clip;      /* factor of the gradients in memory: clipping / scale */
} tw_board;

/* Of a row of logits: its maximum, 1 / (sum of exp(f - maximum)), the same at temperature tau, and the first maximum's class. */
typedef struct {
    float most, inverse, inverse_tau;
    int32_t where;
} tw_row_stats;

/* Sizes and memory of a loss. Pointers: device memory. */
typedef struct {
    int V, B, K;
    double global;            /* B times ranks */
    double lam1, lam2, tau;
    tw_board *board;
    tw_row_stats *row, *taught;   /* [V*B], [2*B] */
    double *mean;             /* [V,K]: sums of s over this rank's batch, then over all ranks' */
    float *dmean;             /* [V,K]: derivative of the diversity term by mean */
    double *part;             /* [2*B]: kl and eh per sample; then he per block */
    double *dots;             /* [B, blocks of a sample, 2 + 2V]: the TWIST loss's sums over classes, per block */
    double *spread;           /* [V*B]: standard deviations of the rows (labels: losses); then sums, per block, of those of the columns */
    float *columns;           /* [2,V,K]: sums of the logits over the batch; of their squares */
    int32_t *largest;         /* [2*B]: argmax of the rows of views 0 and 1 */
    float *confidence;        /* [B] */
    int32_t *label;           /* [2*B]: labels; in self-labeling label[B + b] is the weak view of sample b */
} tw_loss_memory;

/* tw_learn_tensor as the kernels read it. A chunk is TW_CHUNK elements of a tensor, or what is left. */
typedef struct {
    float *w;
    const float *g;
    float *state[2], *teacher;
    int64_t n;
    double rate;
    int32_t decayed, first, chunks; /* number of its first chunk among all tensors', and of how many it has */
} tw_update_tensor;

typedef struct {
    int32_t tensor;
    int64_t from;
} tw_update_chunk;

#ifdef __cplusplus
extern "C" {
#endif

/* Statistics of f [rows,K]: row [rows], standard deviations spread [rows]; NULL: not wanted. */
int tw_launch_rows(tw_row_stats *row, double *spread, const void *f, int64_t rows, int K, double tau, tw_dtype t, cudaStream_t stream);
/* Writes the mean standard deviation of x's rows (m->spread, from tw_launch_rows) and columns to the board's results. x [V*B,K]: the logits, for
 * which m->mean is also computed from m->row; or (raw) those before the last norm. */
int tw_launch_columns(const tw_loss_memory *m, const void *x, bool raw, tw_dtype t, cudaStream_t stream);
int tw_launch_largest(const tw_loss_memory *m, cudaStream_t stream); /* m->largest from m->row */
int tw_launch_diversity(const tw_loss_memory *m, bool taught, cudaStream_t stream);
int tw_twist_blocks(const tw_loss_memory *m); /* number of blocks that share a sample's classes */
/* The gradient d of the TWIST loss of logits f, and its sums; taught: the teacher's logits, or NULL */
int tw_launch_twist(const tw_loss_memory *m, void *d, const void *f, const void *taught, tw_dtype t, cudaStream_t stream);
int tw_launch_twist_terms(const tw_loss_memory *m, bool taught, cudaStream_t stream);
/* Needs m->mean summed over all ranks. */
int tw_launch_selflabel(const tw_loss_memory *m, void *d, const void *f, bool taught, tw_dtype t, cudaStream_t stream);
int tw_launch_selflabel_terms(const tw_loss_memory *m, cudaStream_t stream);
/* Gradient d of the cross-entropy of logits f with m->label. */
int tw_launch_labels(const tw_loss_memory *m, void *d, const void *f, tw_dtype t, cudaStream_t stream);
int tw_launch_labels_terms(const tw_loss_memory *m, cudaStream_t stream);
int tw_launch_stage(int32_t *to, int32_t stage, cudaStream_t stream); /* *to = stage, once the stream gets there; to: pinned host memory */

/* The norms of all tensors, and from them the board's clipping, loss scale and whether the step is taken. partial: [2*chunks]; sums: [2*tensors], of
 * squares of g and (weights) of w; scaled: fp16. */
int tw_launch_norms(tw_board *board, double *sums, double *partial, const tw_update_tensor *tensor, int tensors, const tw_update_chunk *chunk,
                    int chunks, bool weights, double clip_norm, bool scaled, cudaStream_t stream);
int tw_launch_update(const tw_board *board, const double *sums, const tw_update_tensor *tensor, const tw_update_chunk *chunk, int chunks,
                     tw_learn_optim optim, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
