/* Double-buffered transfers for evaluation on a device that runs asynchronously to the host: while one batch is computed, the next batch's
 * pictures are uploaded and the previous batch's results downloaded. At most two batches are in flight. */
#ifndef TW_NN_AHEAD_H
#define TW_NN_AHEAD_H

#include "nn/backend.h"

typedef struct tw_ahead tw_ahead;

/* be, dev: borrowed until free. picture_bytes: the most that a batch has; D, K: how many numbers the two results of a batch have, all rows
 * together (K 0: there is only the first). NULL and tw_error(). */
tw_ahead *tw_ahead_new(const tw_backend *be, tw_dev *dev, size_t picture_bytes, size_t D, size_t K);
void tw_ahead_free(tw_ahead *a); /* NULL is allowed */

/* Starts the upload of a batch's pictures, which may be changed as soon as this returns. Returns their place in device memory, valid for work
 * that is queued from now on. NULL and tw_error(), also where two batches are in flight already. */
const uint8_t *tw_ahead_send(tw_ahead *a, const uint8_t *pictures, size_t bytes);
/* Completes the batch sent last: starts the download of its results, activations x [D] and y [K] in device memory (y is not read where K is 0).
 * 0, or -1 and tw_error(). */
int tw_ahead_return(tw_ahead *a, const void *x, const void *y);
/* Waits for the results of the oldest batch not yet taken and copies them, as f32, to x [D] and y [K] in host memory. 0, or -1 and tw_error(),
 * also where there is no such batch. */
int tw_ahead_take(tw_ahead *a, float *x, float *y);

#endif
