/* The options of a run as one JSON text, for args.json and the checkpoint. */
#ifndef TW_TRAIN_ARGS_H
#define TW_TRAIN_ARGS_H

#include "checkpoint/checkpoint.h"
#include "comm/comm.h"
#include "core/opts.h"

/* {"lr": 0.5, ...}: every row of the table with its present value, '-' in names as '_'. NULL and tw_error(). Free with free(). */
char *tw_args_json(const tw_opt *table, int n);

/* Whether all ranks have the values of rank 0, but for those that are a rank's own: files, streams, threads. All ranks call it. 0, or -1 and
 * tw_error(). */
int tw_args_compare(tw_comm *comm, const tw_opt *table, int n);

/* Warns of each option that is not what it was when the run's checkpoint was written, but for those that change no byte of it, and for the batch,
 * which is looked at with the place. args: as tw_args_json gives them. */
void tw_args_warn(const tw_checkpoint *f, const char *args);

#endif
