/* The way of an evaluation's batches to a device that computes beside the host, and of their results back: pictures of the next batch go
 * and results of the last one come while a batch is computed. Two batches at most are on their way. */
#ifndef TW_NN_AHEAD_H
#define TW_NN_AHEAD_H

#include "nn/backend.h"

typedef struct tw_ahead tw_ahead;

/* picture_bytes: of a batch at most; D, K: numbers of a batch's two results (K 0: there is one). NULL and tw_error(). */
tw_ahead *tw_ahead_new(const tw_backend *be, tw_dev *dev, size_t picture_bytes, size_t D, size_t K);
void tw_ahead_free(tw_ahead *a); /* NULL is allowed */

/* Sends a batch's pictures, which may be changed afterwards: where they will lie in device memory, for work put on now. NULL and tw_error(). */
const uint8_t *tw_ahead_send(tw_ahead *a, const uint8_t *pictures, size_t bytes);
/* Ends the batch sent last: activations x [D] and y [K] (device memory) begin their way back. 0, or -1 and tw_error(). */
int tw_ahead_return(tw_ahead *a, const void *x, const void *y);
/* Waits for the results of the oldest batch that has not been taken. 0, or -1 and tw_error(): also where there is none. */
int tw_ahead_take(tw_ahead *a, float *x, float *y);

#endif
