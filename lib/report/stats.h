/* Statistics of a stream: mean and deviation of its pixels, frequency of its labels. */
#ifndef TW_REPORT_STATS_H
#define TW_REPORT_STATS_H

#include "stream/record.h"

#include <stdio.h>

typedef struct {
    uint64_t pixels, sum[3], square[3]; /* of images and views: number of pixels; sum of values and of squares per channel */
    int64_t *count;                     /* [labels]: samples of each label; owned */
    size_t labels, cap;
    int64_t samples, unlabelled;
} tw_stats;

/* Adds a sample. Initialise s to {0}. Labels of 2^24 and more count as unlabelled. 0, or -1 and tw_error(). */
int tw_stats_add(tw_stats *s, const tw_sample *sample);
void tw_stats_fini(tw_stats *s);

/* Mean and standard deviation of a channel (0 red, 1 green, 2 blue) over all pixels, in levels 0 to 255. Needs at least one pixel. */
void tw_stats_channel(const tw_stats *s, int channel, double *mean, double *deviation);

#endif
