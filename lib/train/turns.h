/* A run's turns: in each one every rank takes a batch, all of the same epoch, from a stream of its own; an epoch has as many as the rank with the
 * fewest batches has. What is wrong with a rank's stream is said here, by that rank. */
#ifndef TW_TRAIN_TURNS_H
#define TW_TRAIN_TURNS_H

#include "train/ranks.h"

typedef struct {
    /* Set by the caller before open. */
    tw_comm *comm;
    int64_t epochs;          /* of the whole run */
    int (*check)(void *context, const tw_batch *b); /* looks at a batch before it is taken: 0, or -1 and tw_error(); NULL: all are good */
    void *context;           /* of check */
    /* Kept here. */
    tw_loader *loader;
    int64_t steps_per_epoch;
    tw_ranks_state all;      /* what the ranks agreed upon last; where they had a batch, all.places is how much of its share each has used then */
    double waited;           /* seconds for other ranks */
} tw_turns;

/* The ranks that this process is one of, named in its messages; the first one speaks for all. threads: their share of the processors where the
 * command line does not say. NULL and tw_error(). */
tw_comm *tw_turns_join(int *threads);

/* Opens this rank's stream (o->rank and o->ranks are filled in) and counts an epoch's steps, of epoch_samples samples where that is above 0.
 * All ranks call it. 0, or -1 and tw_error(): as tw_loader_open (t->loader is NULL then); shares of different data sets; another number of samples
 * than the stream says,
 * none, or less than a batch. */
int tw_turns_open(tw_turns *t, const char *input, int64_t epoch_samples, const tw_loader_options *o);
void tw_turns_close(tw_turns *t); /* zeros are allowed */

/* The next batch, borrowed until the next call: where bad images have left one rank an epoch short, the others go on to its next too. epoch: that is
 * being trained, for messages. Returns the worst status of all ranks (tw_rank_status; READY: *b is it), of which t->all says more; or -1 and
 * tw_error(): the ranks cannot talk to each other. All ranks call it. */
int tw_turns_next(tw_turns *t, const tw_batch **b, int64_t epoch);

/* What the stream still has after the last batch: less than a batch, and its end record, which is waited for so that nobody upstream is cut off and
 * a failure there is seen; or more, which nobody needs. 0, or -1: this rank's stream failed. */
int tw_turns_end(tw_turns *t);

#endif
