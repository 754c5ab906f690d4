/* A run's turns: in each, every rank takes one batch, all of the same epoch, from its own stream. An epoch has as many turns as the rank with the
 * fewest batches has batches. Errors of a rank's stream are printed here, by that rank. */
#ifndef TW_TRAIN_TURNS_H
#define TW_TRAIN_TURNS_H

#include "train/ranks.h"

typedef struct {
    /* Set by the caller before open. */
    tw_comm *comm;
    int64_t epochs;          /* of the whole run */
    int (*check)(void *context, const tw_batch *b); /* validates a batch before it is taken: 0, or -1 and tw_error(); NULL: no check */
    void *context;           /* of check */
    /* Set by these functions. */
    tw_loader *loader;
    int64_t steps_per_epoch;
    tw_ranks_state all;      /* the last agreement; if READY, all.places is how much of its share each rank has used after its batch */
    double waited;           /* seconds waited for other ranks */
} tw_turns;

/* Joins the run's ranks (MPI), whose number then appears in this process's messages; rank 0 prints for all. *threads becomes this rank's share of
 * the processors, unless given on the command line. NULL and tw_error(). */
tw_comm *tw_turns_join(int *threads);

/* Opens this rank's stream (o->rank and o->ranks are ignored) and sets t->steps_per_epoch, for epochs of epoch_samples samples (0: as the stream
 * says). Collective. 0, or -1 and tw_error(): as tw_loader_open (t->loader is NULL then), or epoch_samples differs from the stream's number,
 * neither is known, or it is less than a batch. */
int tw_turns_open(tw_turns *t, const char *input, int64_t epoch_samples, const tw_loader_options *o);
void tw_turns_close(tw_turns *t); /* zeros are allowed */

/* The next batch, borrowed until the next call. If bad images leave one rank with fewer batches in an epoch, the others drop theirs and go on to the
 * next epoch too. epoch: the one being trained, for messages. Returns the worst status of all ranks (tw_rank_status; READY: *b is set; details
 * in t->all), or -1 and tw_error() if the ranks cannot communicate. Collective. */
int tw_turns_next(tw_turns *t, const tw_batch **b, int64_t epoch);

/* Reads on after the last batch, to the stream's end record, so that programs upstream end normally and their failures are seen; stops if there is
 * another full batch, which is not needed. 0, or -1 if this rank's stream failed (printed). */
int tw_turns_end(tw_turns *t);

#endif
