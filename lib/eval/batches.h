/* Labelled features in batches, epoch by epoch. A stream of one epoch is kept in memory and reshuffled for each epoch; a stream of several epochs
 * (features of augmented pictures) is used in its own order and not kept. */
#ifndef TW_EVAL_BATCHES_H
#define TW_EVAL_BATCHES_H

#include "eval/device.h"
#include "eval/features.h"

typedef struct {
    tw_roster *who;     /* the samples' identities; points into this struct */
    tw_features *kept;  /* NULL: the stream is not kept */
    int D, size;
    int64_t epochs;     /* of a stream that is not kept; else 0 */
    int classes;        /* limit of the labels of a stream that is not kept: to be set before the first batch */
    float *x;           /* [size,D]: the batch */
    int32_t *y;         /* [size] */
    uint64_t seed;      /* the rest is internal */
    tw_features features;
    tw_reader *reader;
    tw_sample held;     /* read ahead, if is_held */
    bool is_held;
    const tw_eval_device *device; /* NULL: x is host memory */
    float *host_x, *kept_x; /* [size,D] in host memory, to read into; [n,D] in device memory, the kept features */
    uint64_t *row;      /* [size], device memory: the rows of kept_x that form the batch */
    uint64_t *order;
    int64_t epoch, at;
} tw_batches;

/* Opens the stream, and reads all of it if it has one epoch. Batches of up to `size` samples. The order of epoch e is a permutation drawn from (seed,
 * TW_USE_LINEAR, e). 0, or -1 and tw_error(), also for a sample without a label. */
int tw_batches_open(tw_batches *b, const char *endpoint, int size, uint64_t seed);

/* From now on x is device memory, with room for `size` rows whatever the batch; kept features are copied there as they are now. 0, or -1 and
 * tw_error(). */
int tw_batches_to_device(tw_batches *b, const tw_eval_device *d);

/* Puts the next batch into x and y and returns its size (the last of an epoch may be smaller); 0: the epoch has ended, the next call begins the
 * next one; -1 and tw_error(). */
int tw_batches_next(tw_batches *b);

/* After the last epoch: checks that the stream ends there. 0, or -1 and tw_error(). */
int tw_batches_finish(tw_batches *b);
void tw_batches_close(tw_batches *b);

#endif
