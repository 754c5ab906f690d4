/* What an epoch looked like: mean losses, and the signs of a collapse (twist-method.md 6, during training). */
#ifndef TW_TRAIN_MONITOR_H
#define TW_TRAIN_MONITOR_H

#include "train/loss.h"

#include <stdint.h>

typedef struct tw_monitor tw_monitor;

typedef struct {
    int64_t steps;
    tw_loss_terms mean;
    double agreement;                /* share of samples whose views 0 and 1 have the same argmax */
    double classes;                  /* different argmaxes of view 0 that occurred */
    /* Standard deviations of the logits over a column (the batch) and a row (the classes), before (raw) and after the last norm. */
    double raw_column_std, raw_row_std, column_std, row_std;
    double nmi, ami, ari;            /* of the argmax of view 0 and the labels; NaN where there are none */
} tw_epoch_summary;

tw_monitor *tw_monitor_new(int V, int B, int K, tw_comm *comm); /* comm is kept. NULL and tw_error() */
void tw_monitor_free(tw_monitor *m);

/* Mean deviations of one step's logits. */
typedef struct {
    double raw_column_std, raw_row_std, column_std, row_std;
} tw_spread;

/* After a step whose logits stay on a device: as tw_monitor_step, largest [2*B] the argmax of each row of views 0 and 1. */
int tw_monitor_learned(tw_monitor *m, const tw_loss_terms *terms, const tw_spread *spread, const int32_t *largest, const int32_t *label);

/* After a step: logits and raw as tw_plan_logits, label [B]. 0, or -1 and tw_error(). */
int tw_monitor_step(tw_monitor *m, const tw_loss_terms *terms, const float *logits, const float *raw, const int32_t *label);

/* The epoch so far, over all ranks (deviations: the means of theirs); begins the next. All ranks call it together. 0, or -1 and tw_error(). */
int tw_monitor_epoch(tw_epoch_summary *out, tw_monitor *m);

#endif
