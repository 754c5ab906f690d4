/* Inside lib/cuda: what a learning device keeps in its own memory, and the launchers of its kernels (logits.cu, loss.cu, selflabel.cu,
 * labels.cu, update.cu, stage.cu). All put work on the stream and return: 0, or -1 and tw_error(). */
#ifndef TW_CUDA_BOARD_H
#define TW_CUDA_BOARD_H

#include "cuda/launch.h"

enum { TW_MOST_VIEWS = 32, TW_CHUNK = 1 << 16 };

/* One in device memory: numbers come by a copy from the host at the beginning of a step, results go by one at its end. */
typedef struct {
    tw_learn_numbers in;
    tw_learn_results out;
    double sums[4];  /* of this rank, then of all: kl and eh, not yet divided; in self-labeling loss, threshold, selected, eh; with labels loss
                      * and hits */
    float scale;     /* of the loss in fp16; 1 elsewhere */
    int64_t good;    /* steps since it last changed */
    float clip;      /* for gradients as they lie in memory: clipping, over the scale */
} tw_board;

/* A row of logits: its maximum, 1 / the sum of exponentials, the same at temperature tau, where the first maximum is. */
typedef struct {
    float most, inverse, inverse_tau;
    int32_t where;
} tw_row_stats;

/* Pointers of a loss, all device memory. */
typedef struct {
    int V, B, K;
    double global;            /* B on all ranks */
    double lam1, lam2, tau;
    tw_board *board;
    tw_row_stats *row, *taught;   /* [V*B], [2*B] */
    double *mean;             /* [V,K]: sums of s over this rank's batch, then over all */
    float *dmean;             /* [V,K] */
    double *part;             /* [2*B] kl and eh of samples; he of blocks */
    double *dots;             /* [B, blocks of a sample, 2 + 2V]: what the TWIST loss sums over classes */
    double *spread;           /* [V*B] row deviations, then those of columns, summed by blocks */
    float *columns;           /* [2,V,K]: sums of the logits over the batch, sums of squares */
    int32_t *largest;         /* [2*B] */
    float *confidence;        /* [B] */
    int32_t *label;           /* [B]; in self-labeling the weak view in label[B + b] */
} tw_loss_memory;

typedef struct {
    float *w;
    const float *g;
    float *state[2], *teacher;
    int64_t n;
    double rate;
    int32_t decayed, first, chunks; /* its chunks among all */
} tw_update_tensor;

typedef struct {
    int32_t tensor;
    int64_t from;
} tw_update_chunk;

#ifdef __cplusplus
extern "C" {
#endif

/* What is NULL is not wanted: statistics, deviations [rows]. */
int tw_launch_rows(tw_row_stats *row, double *spread, const void *f, int64_t rows, int K, double tau, tw_dtype t, cudaStream_t stream);
/* The mean deviation of rows (in m->spread from tw_launch_rows) and of columns of x [V*B,K] into the board, of the logits, with m->mean from
 * m->row, or (raw) before the last norm. */
int tw_launch_columns(const tw_loss_memory *m, const void *x, bool raw, tw_dtype t, cudaStream_t stream);
int tw_launch_largest(const tw_loss_memory *m, cudaStream_t stream); /* from the rows' statistics */
int tw_launch_diversity(const tw_loss_memory *m, bool taught, cudaStream_t stream);
int tw_twist_blocks(const tw_loss_memory *m); /* how many share the classes of a sample */
/* taught: the teacher's logits, or NULL */
int tw_launch_twist(const tw_loss_memory *m, void *d, const void *f, const void *taught, tw_dtype t, cudaStream_t stream);
int tw_launch_twist_terms(const tw_loss_memory *m, bool taught, cudaStream_t stream);
/* With m->mean of all ranks. */
int tw_launch_selflabel(const tw_loss_memory *m, void *d, const void *f, bool taught, tw_dtype t, cudaStream_t stream);
int tw_launch_selflabel_terms(const tw_loss_memory *m, cudaStream_t stream);
/* Cross-entropy with m->label. */
int tw_launch_labels(const tw_loss_memory *m, void *d, const void *f, tw_dtype t, cudaStream_t stream);
int tw_launch_labels_terms(const tw_loss_memory *m, cudaStream_t stream);
int tw_launch_stage(int32_t *to, int32_t stage, cudaStream_t stream); /* to: pinned host memory */

/* partial: [2*chunks]; sums: [2*tensors] squares of g and w */
int tw_launch_norms(tw_board *board, double *sums, double *partial, const tw_update_tensor *tensor, int tensors, const tw_update_chunk *chunk,
                    int chunks, bool weights, double clip_norm, bool scaled, cudaStream_t stream);
int tw_launch_update(const tw_board *board, const double *sums, const tw_update_tensor *tensor, const tw_update_chunk *chunk, int chunks,
                     tw_learn_optim optim, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
