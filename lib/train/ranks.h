/* What the ranks of a run agree on: the last norm's bunches, the state they begin with, and before each step whether to take it. With one rank
 * these functions do next to nothing. Those with a tw_comm or tw_learner are collective: all ranks call them. */
#ifndef TW_TRAIN_RANKS_H
#define TW_TRAIN_RANKS_H

#include "train/loader.h"
#include "train/state.h"

/* A rank's status, in rising severity. READY: has a batch; DONE: no batch of the last epoch is left; STOPPED: by a signal; ENDED: its stream ended
 * too early; FAILED: its stream failed. */
typedef enum { TW_RANK_READY, TW_RANK_DONE, TW_RANK_STOPPED, TW_RANK_ENDED, TW_RANK_FAILED } tw_rank_status;

typedef struct {
    int status;
    int signal;          /* number of the signal caught; 0: none */
    int64_t epoch;       /* READY: of its batch */
    int64_t sample;      /* READY: the place after its batch */
    uint32_t views;      /* READY: checksum of the views' sizes */
} tw_rank_report;

/* This rank's report, with batch b (NULL: none). A signal turns READY into STOPPED. */
tw_rank_report tw_rank_reports(int status, const tw_batch *b, int signal);

typedef struct {
    int status, rank;    /* the worst status, and the first rank that has it */
    int signal;          /* that rank's */
    int64_t first, last; /* READY: lowest and highest epoch of the batches */
    int64_t sample;      /* the furthest place after a batch */
    int64_t *places;     /* [ranks]: each rank's place after its batch; the caller's memory */
} tw_ranks_state;

/* Combines all ranks' reports; the result is the same on all ranks. A signal caught by one rank stops all. If batches differ in their views' sizes,
 * the status is FAILED, with tw_error() on the rank it names. 0, or -1 and tw_error(). */
int tw_ranks_agree(tw_ranks_state *s, tw_comm *c, const tw_rank_report *mine);

/* Checks that all ranks compute on a device of the same name; they must, as CPUs and GPUs sum by different means. 0, or -1 and tw_error(). */
int tw_ranks_device(tw_comm *c, const char *name);

/* Sets c->bunch and c->bunch_samples for bunches of bunch_size samples (twist-method.md 1): neighbouring ranks, or parts of a rank's batch of B. 0,
 * or at least the global batch: one bunch of all. Refuses sizes that do not divide evenly. 0, or -1 and tw_error(). */
int tw_ranks_bunch(tw_net_config *c, int64_t bunch_size, int B);

/* Broadcasts rank 0's place in the data. 0, or -1 and tw_error(). */
int tw_ranks_share_place(tw_learner *l);

/* Broadcasts rank 0's weights, statistics, optimizer and teacher. 0, or -1 and tw_error(). */
int tw_ranks_share(tw_learner *l);

#endif
