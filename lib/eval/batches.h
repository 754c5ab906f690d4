/* Labelled features in batches, epoch by epoch: a stream of one epoch is kept in memory and shuffled anew for each epoch; a
 * stream of several epochs (augmented pictures, embedded as they come) is taken as it comes and not kept. */
#ifndef TW_EVAL_BATCHES_H
#define TW_EVAL_BATCHES_H

#include "eval/device.h"
#include "eval/features.h"

typedef struct {
    tw_roster *who;     /* borrowed by the struct itself */
    tw_features *kept;  /* NULL: the stream is not kept */
    int D, size;
    int64_t epochs;     /* in the stream that is not kept; 0 else */
    int classes;        /* labels of a stream that is not kept must be below: set it before the first batch */
    float *x;           /* [size,D]: the batch */
    int32_t *y;         /* [size] */
    uint64_t seed;      /* the rest is internal */
    tw_features features;
    tw_reader *reader;
    tw_sample held;     /* read ahead, where is_held */
    bool is_held;
    const tw_eval_device *device; /* NULL: x is host memory */
    float *host_x, *kept_x; /* [size,D] what is read, in host memory; [n,D] what is kept, in device memory */
    uint64_t *row;      /* [size], device memory: which rows of kept_x make the batch */
    uint64_t *order;
    int64_t epoch, at;
} tw_batches;

/* Opens the stream; reads all of it where it has one epoch. Batches of up to `size` samples. The order of epoch e is the
 * permutation drawn from (seed, TW_USE_LINEAR, epoch e). 0, or -1 and tw_error(): also for a sample without a label. */
int tw_batches_open(tw_batches *b, const char *endpoint, int size, uint64_t seed);

/* From now on x is device memory, of `size` rows in any batch; features that are kept are copied there, as they are now. 0, or -1 and
 * tw_error(). */
int tw_batches_to_device(tw_batches *b, const tw_eval_device *d);

/* The next batch into x and y: its size (the last of an epoch may be smaller); 0: the epoch has ended, the next call begins the
 * next one; -1 and tw_error(). */
int tw_batches_next(tw_batches *b);

/* After the last epoch: 0, or -1 and tw_error() where the stream goes on. */
int tw_batches_finish(tw_batches *b);
void tw_batches_close(tw_batches *b);

#endif
