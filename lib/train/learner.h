/* Makes the learner (network, teacher, optimizer) from a run's options: new, from a file of weights, or from the run's checkpoint. */
#ifndef TW_TRAIN_LEARNER_H
#define TW_TRAIN_LEARNER_H

#include "train/options.h"
#include "train/state.h"

/* Unless --bunch-size is given: makes it what suits the batch, the ranks and the device: 256 or, where that cannot be, the next smaller bunch of
 * whole ranks that divides them. */
void tw_learner_bunch(tw_train_options *o, int ranks);

/* A new learner with initial weights (ranks above 0: zeros, until tw_ranks_share). args is taken over and freed by close. --precision=auto is bf16
 * if the device has instructions for it, else fp32. 0, or -1 and tw_error(), also for a device or precision that is not available. */
int tw_learner_open(tw_learner *l, const tw_train_options *o, tw_comm *comm, char *args);
/* Makes only l->net, from l->config and the values of --device and --precision (enums of train/options.h); sets config.precision. 0, or -1 and
 * tw_error(). */
int tw_learner_network(tw_learner *l, int device, int precision);
void tw_learner_close(tw_learner *l);

/* Loads initial weights from a file; the teacher starts as a copy. *act: the activation of the file's head, NULL if it has none. 0, or -1 and
 * tw_error(). */
int tw_learner_init(tw_learner *l, const char *path, const char **act);

/* Takes only the place in the data from the checkpoint, converted to the present number of ranks with batches of B; warns of options that have
 * changed. Refuses a checkpoint of another global batch (B times ranks). 0, or -1 and tw_error(). */
int tw_learner_place(tw_learner *l, const tw_checkpoint *f, int B);

/* Restores everything from the run's checkpoint, its place converted to the present number of ranks. Refuses a checkpoint of another global batch,
 * optimizer or network. 0, or -1 and tw_error(). */
int tw_learner_resume(tw_learner *l, const tw_checkpoint *f, const tw_train_options *o);

#endif
