/* Who learns, made from a run's options: network and optimizer, new, from a file of weights, or from the run's checkpoint. */
#ifndef TW_TRAIN_LEARNER_H
#define TW_TRAIN_LEARNER_H

#include "train/options.h"
#include "train/state.h"

/* New, with initial weights (ranks above 0: zeros, until tw_ranks_share); args is kept and freed by close. The precision is the one that the
 * processor has (auto: bf16 where it has instructions for it). 0, or -1 and tw_error(): also a device or a precision that this build has not. */
int tw_learner_open(tw_learner *l, const tw_train_options *o, tw_comm *comm, char *args);
/* Only l->net, of l->config, by the words of --device and --precision (train/options.h), which sets config.precision. 0, or -1 and
 * tw_error(). */
int tw_learner_network(tw_learner *l, int device, int precision);
void tw_learner_close(tw_learner *l);

/* The weights of a file, which the teacher begins with too. *act: the activation of its head; NULL: it has none. 0, or -1 and tw_error(). */
int tw_learner_init(tw_learner *l, const char *path, const char **act);

/* The place alone, in this number of ranks' shares of batches of B; warns of options that have changed. Refuses a checkpoint of another batch over
 * all ranks. 0, or -1 and tw_error(). */
int tw_learner_place(tw_learner *l, const tw_checkpoint *f, int B);

/* As the run's checkpoint left it, its places in this number of ranks' shares. Refuses one of another batch over all ranks, optimizer or network. 0,
 * or -1 and tw_error(). */
int tw_learner_resume(tw_learner *l, const char *path, const tw_train_options *o);

#endif
