/* The log of a pre-training run: a record for each step and each epoch (man/twist-train.1, log.jsonl). */
#ifndef TW_TRAIN_LOG_H
#define TW_TRAIN_LOG_H

#include "report/runlog.h"
#include "train/monitor.h"
#include "train/pace.h"
#include "train/step.h"

/* Logs number `step` of the run's steps, on B samples of `views` views. taken false: it was skipped, as a number was not finite. 0, or -1 and
 * tw_error(). */
int tw_log_step(tw_runlog *log, int64_t step, int64_t epoch, const tw_step_inputs *p, const tw_step_result *s, bool taken, int B, int views,
                const tw_pace_step *pace);

/* Logs the epoch that ended with that step; warning: from tw_watch_epoch, or NULL. 0, or -1 and tw_error(). */
int tw_log_epoch(tw_runlog *log, int64_t epoch, int64_t step, const tw_epoch_summary *e, const char *warning);

#endif
