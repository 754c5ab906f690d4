/* Batches from a stream with one view per picture, each of a single view size. A thread of its own reads ahead while the caller computes. */
#ifndef TW_EVAL_VIEWS_H
#define TW_EVAL_VIEWS_H

#include "eval/kept.h"

typedef struct {
    tw_sample *sample; /* [n], in the stream's order; their views are in pixels */
    int n, H, W;
    uint8_t *pixels;   /* [n,H,W,3] */
    size_t cap;        /* the rest is internal */
    int rc;
    char error[1024];
} tw_view_batch;

typedef struct tw_views tw_views;

/* Opens a stream of views; B: most views in a batch. kept: an output file to be continued, or NULL: batches begin after its last sample; a
 * pipe:COMMAND with %s is told to begin there, from other endpoints the samples before are read and dropped. stop (NULL: never): once it returns
 * true, a stalled stream is not waited for but counts as failed. NULL and tw_error(), also for a stream of another kind. */
tw_views *tw_views_open(const char *endpoint, int B, const tw_kept *kept, int (*stop)(void));
tw_reader *tw_views_reader(const tw_views *v); /* for its header, end and name; borrowed */

/* The next batch (n >= 1), borrowed until the call after the next. 1; 0: the stream has ended; -1 and tw_error(): the stream failed (reported after
 * all samples before the failure), a sample has several views, or the stream does not match kept. */
int tw_views_next(tw_views *v, tw_view_batch **b);

void tw_views_close(tw_views *v); /* NULL is allowed */

#endif
