/* Checkpoints of a run: the network, the optimizer's state, the place in the data. */
#ifndef TW_TRAIN_STATE_H
#define TW_TRAIN_STATE_H

#include "checkpoint/checkpoint.h"
#include "train/loader.h"
#include "train/optim.h"

typedef struct {
    tw_position at;      /* where training continues */
    int64_t iteration;   /* steps done in that epoch */
    int64_t step;        /* steps done in the whole run */
    int B, ranks;        /* batch per rank and number of ranks to which `at` refers */
    tw_optim_kind optim;
    tw_loss_scale scale; /* of fp16 on a GPU; scale 0: none */
    char data_seed[24];     /* seed of the data's order, from the stream's header; "": not known yet */
    char data_checksum[24]; /* of the data set, likewise */
} tw_train_state;

/* The learner: everything that a checkpoint holds. */
typedef struct {
    tw_net_config config;
    tw_net *net, *teacher; /* teacher NULL: none */
    tw_optim *optim;
    tw_train_state state;
    int64_t *places;     /* [ranks]: how much of its share of the epoch each rank has used; the maximum is state.at.sample. Not used with one rank */
    char *args;          /* the run's options, a JSON text */
    const char *notes;   /* a text that the program wants stored with the checkpoint; NULL: none */
    tw_named_tensor extra; /* and a tensor; name NULL: none */
} tw_learner;

/* Sets where training continues, and how much of its share each rank has used (places NULL: at.sample each). */
void tw_state_at(tw_learner *l, tw_position at, const int64_t *places);

/* Records the checksum and order of the data set from the header of the stream `name`; warns if the run was trained on another set or order. */
void tw_state_data(tw_learner *l, const tw_header *h, const char *name);

/* Writes the whole checkpoint. Tensors: the network's under their official names, the teacher's with the prefix "teacher.", the optimizer's as
 * "optimizer.STATE.NAME" (STATE: tw_optim_state's name). Metadata: the network's description (checkpoint/network.h); epoch, sample,
 * iteration, step, batch_size, ranks, optim, optim_steps, numbers in decimal; with several ranks `places`, separated by blanks; for fp16 on a GPU
 * `loss_scale` and `loss_scale_steps`; `data_seed` and
 * `data_checksum` if known; `args`; `notes` and `extra` if any. 0, or -1 and tw_error(), the old file left as it was. */
int tw_state_save(const char *path, const tw_learner *l);

/* Writes the backbone alone, under torchvision's names. 0, or -1 and tw_error(). */
int tw_state_save_backbone(const char *path, const tw_learner *l);

/* Reads the state without the tensors, so that a stream can be opened at its place. 0, or -1 and tw_error() if it is not a checkpoint of
 * twist-train. */
int tw_state_read(tw_train_state *s, const tw_checkpoint *f);

/* places [s->ranks]: as the checkpoint has them; if it has none, s->at.sample for each. 0, or -1 and tw_error(). */
int tw_state_read_places(int64_t *places, const tw_train_state *s, const tw_checkpoint *f);

/* Restores networks and optimizer. Refuses, naming file and tensor, a checkpoint of another network or optimizer, or that differs from the learner
 * in whether there is a teacher. 0, or -1 and tw_error(). */
int tw_state_load(tw_learner *l, const tw_checkpoint *f);

#endif
