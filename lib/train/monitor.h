/* Statistics of an epoch: mean losses, and indicators of collapse (twist-method.md 6, during training). */
#ifndef TW_TRAIN_MONITOR_H
#define TW_TRAIN_MONITOR_H

#include "train/loss.h"

#include <stdint.h>

typedef struct tw_monitor tw_monitor;

enum { TW_MONITOR_SUMS = 8 };

typedef struct {
    int64_t steps;
    tw_loss_terms mean;
    double agreement;                /* share of samples whose views 0 and 1 have the same argmax */
    double classes;                  /* number of different argmaxes of view 0 */
    /* Mean standard deviations of the logits over a column (the batch) and over a row (the classes), before (raw) and after the last norm. */
    double raw_column_std, raw_row_std, column_std, row_std;
    double nmi, ami, ari;            /* between the argmax of view 0 and the labels; NaN without labels */
} tw_epoch_summary;

/* What has been seen of the current epoch. */
typedef struct {
    int64_t steps;
    double sums[TW_MONITOR_SUMS];  /* over the steps: loss, kl, eh, he, raw_column_std, raw_row_std, column_std, row_std, these / ranks */
    int64_t agreed;                /* samples whose views 0 and 1 have the same argmax */
    int32_t (*samples)[2];         /* [n]: argmax of view 0; label, -1: none. Owned */
    size_t n, cap;
} tw_epoch_so_far;

tw_monitor *tw_monitor_new(int B, int K, tw_comm *comm); /* comm is borrowed until free. NULL and tw_error() */
void tw_monitor_free(tw_monitor *m); /* NULL is allowed */

/* Mean standard deviations of one step's logits, see tw_epoch_summary. */
typedef struct {
    double raw_column_std, raw_row_std, column_std, row_std;
} tw_spread;

/* As tw_monitor_step, for a step whose logits stay on a device. largest [2*B]: argmax of each row of views 0 and 1. */
int tw_monitor_learned(tw_monitor *m, const tw_loss_terms *terms, const tw_spread *spread, const int32_t *largest, const int32_t *label);

/* To be called after each step. logits, raw: f32 [V*B, K], after and before the last norm; label [B], -1: none. 0, or -1 and tw_error(). */
int tw_monitor_step(tw_monitor *m, const tw_loss_terms *terms, int V, const float *logits, const float *raw, const int32_t *label);

/* Brings what all ranks have seen together on rank 0. Collective. 0, or -1 and tw_error(). */
int tw_monitor_gather(tw_monitor *m);
/* What this rank has seen, or by tw_monitor_gather all have; borrowed, and may be replaced to go on with an epoch. */
tw_epoch_so_far *tw_monitor_so_far(tw_monitor *m);

/* The epoch's statistics over all ranks (standard deviations: means of the ranks'), on rank 0; begins the next epoch. Collective. 0, or -1 and
 * tw_error(). */
int tw_monitor_epoch(tw_epoch_summary *out, tw_monitor *m);

#endif
