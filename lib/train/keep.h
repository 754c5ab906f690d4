/* What a pre-training run's log goes on from, in its checkpoint: of the current epoch so far, and the loss that the next ones are compared with. */
#ifndef TW_TRAIN_KEEP_H
#define TW_TRAIN_KEEP_H

#include "train/state.h"
#include "train/watch.h"

enum { TW_KEEP_NOTES = 512 }; /* bytes */

/* Makes them the learner's notes, whose text is written to `notes`, and, within an epoch, its extra tensor, the samples so far ("epoch.samples", i32
 * [n, 2]: class and label), which is borrowed from the monitor until its next step. What other ranks have seen is gathered: collective. 0, or -1 and
 * tw_error(). */
int tw_keep(tw_learner *l, char notes[TW_KEEP_NOTES], tw_monitor *m, const tw_watch *w);

/* Takes them from a checkpoint, on rank 0; one of an older version has none. 0, or -1 and tw_error(), also if they are not what tw_keep writes. */
int tw_keep_read(tw_monitor *m, tw_watch *w, int K, const tw_checkpoint *f);

#endif
