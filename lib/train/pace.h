/* How fast a run goes and when it will be done, for the log and the progress line. */
#ifndef TW_TRAIN_PACE_H
#define TW_TRAIN_PACE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double start, last;  /* times (tw_now): beginning of the first step, end of the last one */
    double waited;       /* seconds waited for input until `last` */
    int64_t first, all;  /* steps done before this process started; steps of the whole run */
} tw_pace;

typedef struct {
    double seconds;      /* of the last step */
    double wait;         /* share of them spent waiting for input */
} tw_pace_step;

/* Of a run of so many epochs, or of max_steps steps where those are fewer (0: no limit), of which `first` steps are done. */
void tw_pace_begin(tw_pace *p, int64_t first, int64_t epochs, int64_t steps_per_epoch, int64_t max_steps);
/* After a step; waited: seconds spent waiting for input since the beginning. */
tw_pace_step tw_pace_next(tw_pace *p, double waited);
/* "step 7/15, 31 NAME/s, ETA 0:01:02" for `step` steps done; each: how many NAME (views, samples) a step has. Cut to size. Returns text. */
const char *tw_pace_text(char *text, size_t size, const tw_pace *p, int64_t step, double each, const char *name);

#endif
