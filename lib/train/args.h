/* The options of a run as one JSON text, for args.json and the checkpoint. */
#ifndef TW_TRAIN_ARGS_H
#define TW_TRAIN_ARGS_H

#include "checkpoint/checkpoint.h"
#include "comm/comm.h"
#include "core/opts.h"

/* {"lr": 0.5, ...}: every option of the table with its present value, '-' in names written as '_'. NULL and tw_error(). Free with free(). */
char *tw_args_json(const tw_opt *table, int n);

/* Checks that this rank's options have rank 0's values, except those that may differ between ranks: files, streams, threads. Collective: all ranks
 * call it. 0, or -1 and tw_error() naming the option. */
int tw_args_compare(tw_comm *comm, const tw_opt *table, int n);

/* Warns of each option that has changed since the checkpoint was written, except those that do not influence the result, and the batch size, which
 * tw_learner_place checks. args: from tw_args_json. */
void tw_args_warn(const tw_checkpoint *f, const char *args);

#endif
