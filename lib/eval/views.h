/* One view of each picture, in batches of one size: a thread of its own reads the next batch while the last ones are computed. */
#ifndef TW_EVAL_VIEWS_H
#define TW_EVAL_VIEWS_H

#include "eval/kept.h"

typedef struct {
    tw_sample *sample; /* [n] in order; of each one, pixels has the view */
    int n, H, W;
    uint8_t *pixels;   /* [n,H,W,3] */
    size_t cap;        /* the rest is internal */
    int rc;
    char error[1024];
} tw_view_batch;

typedef struct tw_views tw_views;

/* Opens a stream of views, of up to B in a batch. kept: of what was made of its samples before, the stream goes on behind the last one:
 * at that place where the endpoint is a pipe:COMMAND with %s, else what has been done is read and dropped; NULL: nothing. NULL and
 * tw_error(): also for a stream of another kind. Where stop() says so (NULL: never), a stream from which nothing comes is no longer waited for: it
 * has failed. */
tw_views *tw_views_open(const char *endpoint, int B, const tw_kept *kept, int (*stop)(void));
tw_reader *tw_views_reader(const tw_views *v); /* for its header, end and name; borrowed */

/* The next batch (n >= 1), borrowed until the call after the next. 1; 0 after the stream's end; -1 and tw_error(): the stream's failure, after all
 * samples before it; a sample of several views; one that is not the last of kept where that has to be. */
int tw_views_next(tw_views *v, tw_view_batch **b);

void tw_views_close(tw_views *v); /* NULL is allowed */

#endif
