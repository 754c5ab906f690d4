/* A supervised run's counts of the current epoch and its last validation score, kept in its checkpoint's notes. */
#ifndef TW_TRAIN_TALLY_H
#define TW_TRAIN_TALLY_H

#include "report/jsonl.h"
#include "train/best.h"
#include "train/step.h"
#include "train/validate.h"

#include <stdbool.h>

typedef struct {
    tw_score last;      /* score of the last validation */
    int64_t steps;      /* steps done in the current epoch; over these, and all ranks' samples: */
    double loss;        /* sum of the steps' mean losses */
    int64_t hits[2];    /* samples whose label is the top-1 class, is among the top 5 */
    bool pending;       /* the epoch's steps are done, its validation is not */
} tw_tally;

enum { TW_TALLY_NOTES = 224 }; /* bytes */

/* Adds a step. */
void tw_tally_add(tw_tally *t, const tw_step_result *s);

/* Begins a new epoch; `last` stays. */
void tw_tally_clear(tw_tally *t);

/* The tally as text, and back, bit-exact. tw_tally_read: 0, or -1 (without tw_error()) if the text is not a tally, and t is unchanged. */
void tw_tally_write(char notes[TW_TALLY_NOTES], const tw_tally *t);
int tw_tally_read(tw_tally *t, const char *notes);

/* Logs an epoch (from 0) that ended after `step`; each: samples per step; v: its validation, or NULL. 0, or -1 and tw_error(). */
int tw_tally_log(tw_jsonl *log, const tw_tally *t, int64_t epoch, int64_t step, int each, const tw_validation *v);

#endif
