/* Detects from an epoch's statistics that a run has gone wrong. */
#ifndef TW_TRAIN_WATCH_H
#define TW_TRAIN_WATCH_H

#include "train/monitor.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    double least;     /* mean loss of the best epoch seen; NaN: none yet */
    bool self_label;  /* whether that was the self-labeling loss */
} tw_watch;
#define TW_WATCH_NEW {NAN, false}

/* What is wrong with the epoch, in words, cut to size; NULL: nothing. K: classes; samples: seen in the epoch. The first of:
 *   collapse: column_std (over the batch, of the logits after the last norm) is below 0.1: all samples get the same logits;
 *   collapse: one class is used, or less than 1 % of the classes that could be (the smaller of K and the samples);
 *   collapse: he is below 5 % of log K: the mean distribution is nearly one class;
 *   no class is learned: eh is above 99 % of log K: every distribution is nearly uniform;
 *   divergence: the mean loss is more than a quarter of log K above that of the best epoch of the same kind of loss. */
const char *tw_watch_epoch(char *text, size_t size, tw_watch *w, const tw_epoch_summary *e, int64_t samples, int K, bool self_label);

#endif
