/* What the ranks of a run agree upon: their share of the last norm's bunches, what they begin with, and at every boundary between two
 * steps whether there is a step to be taken. With one rank all this is as good as nothing. */
#ifndef TW_TRAIN_RANKS_H
#define TW_TRAIN_RANKS_H

#include "train/loader.h"
#include "train/state.h"

/* How it stands with a rank, the worse the larger. DONE: has no batch of the last epoch left. */
typedef enum { TW_RANK_READY, TW_RANK_DONE, TW_RANK_STOPPED, TW_RANK_ENDED, TW_RANK_FAILED } tw_rank_status;

typedef struct {
    int status;
    int signal;          /* that has been caught; 0: none */
    int64_t epoch;       /* READY: of its batch */
    int64_t sample;      /* READY: the place after it */
    uint32_t views;      /* READY: of what sizes the views are */
} tw_rank_report;

/* What a rank with a batch (NULL: with none) has to say. */
tw_rank_report tw_rank_reports(int status, const tw_batch *b, int signal);

typedef struct {
    int status, rank;    /* the worst, and the first rank that has it */
    int signal;
    int64_t first, last; /* READY: epochs of the batches */
    int64_t sample;      /* the furthest place after a batch */
    int64_t *places;     /* [ranks]: each rank's; the caller's memory */
} tw_ranks_state;

/* Everybody's report, the same on all ranks. A signal that one has caught stops all. Batches whose views are of different sizes are a
 * failure, which only tw_error() of its rank tells. 0, or -1 and tw_error(). */
int tw_ranks_agree(tw_ranks_state *s, tw_comm *c, const tw_rank_report *mine);

/* Whether all ranks compute on the device of that name, as they must: their sums go different ways. 0, or -1 and tw_error(). */
int tw_ranks_device(tw_comm *c, const char *name);

/* The last norm's bunches: of bunch_size samples, which are neighbouring ranks or parts of a rank's batch of B; 0: all. More samples
 * than all ranks have: all. Sets c->bunch and c->bunch_samples. Refuses bunches that neither ranks nor batches fall into. 0, or -1 and
 * tw_error(). */
int tw_ranks_bunch(tw_net_config *c, int64_t bunch_size, int B);

/* The first rank's place in the data to all. 0, or -1 and tw_error(). */
int tw_ranks_share_place(tw_learner *l);

/* Its weights, statistics, optimizer and teacher. 0, or -1 and tw_error(). */
int tw_ranks_share(tw_learner *l);

#endif
