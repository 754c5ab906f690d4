/* Checkpoints of a run: the network, the optimizer's state, the place in the data. */
#ifndef TW_TRAIN_STATE_H
#define TW_TRAIN_STATE_H

#include "checkpoint/checkpoint.h"
#include "train/loader.h"
#include "train/optim.h"

typedef struct {
    tw_position at;      /* where training goes on */
    int64_t iteration;   /* steps of that epoch that are done */
    int64_t step;        /* steps of the whole run that are done */
    int B, ranks;        /* what the place was counted with */
    tw_optim_kind optim;
    tw_loss_scale scale; /* 0: none, it is not fp16 on a GPU */
    char data_seed[24];     /* of the order of the data, as its stream tells it; "": not known yet */
    char data_checksum[24]; /* of the data set, likewise */
} tw_train_state;

/* Who learns: all that a checkpoint holds. */
typedef struct {
    tw_net_config config;
    tw_net *net, *teacher; /* teacher NULL: none */
    tw_optim *optim;
    tw_train_state state;
    int64_t *places;     /* [ranks]: how much of its share of the epoch each has used; the furthest is state.at.sample. Not looked at for one rank */
    char *args;          /* the run's options, a JSON text */
    const char *notes;   /* what else the program wants to know again, a text of its own; NULL: nothing */
} tw_learner;

/* Where training goes on, and how much of its share each rank has used (NULL: at.sample). */
void tw_state_at(tw_learner *l, tw_position at, const int64_t *places);

/* Takes note of the data's header, of the stream of that name; warns where the run has been trained on another data set or in another
 * order. */
void tw_state_data(tw_learner *l, const tw_header *h, const char *name);

/* Writes the whole checkpoint: tensors under their official names, the teacher's behind "teacher.", the optimizer's as "optimizer.STATE.NAME"
 * (STATE as tw_optim_state), metadata: the network's description (checkpoint/network.h), epoch, sample, iteration, step, batch_size, ranks, optim,
 * optim_steps, all in decimal, of several ranks `places`, one behind the other, of fp16 on a GPU `loss_scale` and `loss_scale_steps`, `data_seed`
 * and `data_checksum` where they are known, `args`, and `notes` where there are some. 0, or -1 and tw_error() with the old file as it was. */
int tw_state_save(const char *path, const tw_learner *l);

/* The backbone alone, by torchvision's names. 0, or -1 and tw_error(). */
int tw_state_save_backbone(const char *path, const tw_learner *l);

/* Reads the place only (before a stream can be opened there). 0, or -1 and tw_error(): not a checkpoint of twist-train. */
int tw_state_read(tw_train_state *s, const tw_checkpoint *f);

/* The places of s->ranks ranks: as the checkpoint has them, or the furthest for each. 0, or -1 and tw_error(). */
int tw_state_read_places(int64_t *places, const tw_train_state *s, const tw_checkpoint *f);

/* Networks and optimizer as they were. Refuses, naming file and tensor, a checkpoint of another network or optimizer, or with a
 * teacher where the learner has none, or without one where it has. 0, or -1 and tw_error(). */
int tw_state_load(tw_learner *l, const tw_checkpoint *f);

#endif
