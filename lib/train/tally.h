/* What a supervised run has counted in its epoch and reached in its last measurement, kept in the notes of its checkpoint. */
#ifndef TW_TRAIN_TALLY_H
#define TW_TRAIN_TALLY_H

#include "report/jsonl.h"
#include "train/best.h"
#include "train/step.h"
#include "train/validate.h"

#include <stdbool.h>

typedef struct {
    tw_score last;      /* measurement */
    int64_t steps;      /* of the epoch under way; with them, over all ranks' samples: */
    double loss;        /* the sum of the steps' means */
    int64_t hits[2];    /* samples whose label is the first class, or among the first five */
    bool pending;       /* the epoch's steps are done, its measurement is not */
} tw_tally;

enum { TW_TALLY_NOTES = 224 }; /* bytes */

/* One more step. */
void tw_tally_add(tw_tally *t, const tw_step_result *s);

/* A new epoch; the last measurement stays. */
void tw_tally_clear(tw_tally *t);

/* The tally as text, and back to the same bits. tw_tally_read: 0, or -1 (no tw_error()) where the text is not one, and t is as it was. */
void tw_tally_write(char notes[TW_TALLY_NOTES], const tw_tally *t);
int tw_tally_read(tw_tally *t, const char *notes);

/* The line of an epoch (counted from 0) that ends after `step`, with `each` samples a step. v: its measurement, or NULL. 0, or -1 and tw_error(). */
int tw_tally_log(tw_jsonl *log, const tw_tally *t, int64_t epoch, int64_t step, int each, const tw_validation *v);

#endif
