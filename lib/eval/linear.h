/* A linear classifier on fixed features: softmax, cross-entropy, SGD with momentum, as PyTorch's Linear, CrossEntropyLoss and
 * SGD do it in fp32. */
#ifndef TW_EVAL_LINEAR_H
#define TW_EVAL_LINEAR_H

#include "eval/blocks.h"

#include <stdint.h>

typedef struct tw_linear tw_linear;

/* C classes on D features, batches of up to B samples; weights zero. Memory: 4 (3 C D + 2 B (C + D)) bytes. With a device of `threads` the
 * steps are done there, and x below is device memory: of step with B rows, of count with a multiple of B, of which n count. NULL and
 * tw_error(). */
tw_linear *tw_linear_new(int C, int D, int B, double momentum, double weight_decay, tw_blocks *threads);
void tw_linear_free(tw_linear *l); /* NULL is allowed */

int tw_linear_fetch(tw_linear *l);     /* before these are read: brings them from the device. 0, or -1 and tw_error() */
float *tw_linear_weight(tw_linear *l); /* [C,D], borrowed */
float *tw_linear_bias(tw_linear *l);   /* [C], borrowed */

/* Weights from normal(0, 0.01), drawn from (seed, TW_USE_LINEAR); bias 0. */
void tw_linear_init(tw_linear *l, uint64_t seed);

/* One step on n <= B samples x [n,D] with labels y[n] in 0..C-1. Gradients are of the mean loss; momentum is v = m v + g,
 * w -= lr v, weight decay part of g for weight and bias alike (torch.optim.SGD). Returns the sum of the losses before the
 * step; NaN where a logit was not finite; -1 and tw_error() where the device fails. The same bits for any number of threads. */
double tw_linear_step(tw_linear *l, const float *x, const int32_t *y, int n, double lr);

/* Adds to hits[0] and hits[1] the samples whose label is the first, is among the first five, of the classes by logit (of equal
 * ones the lower class first). x: [n,D], any n. 0, or -1 and tw_error(). */
int tw_linear_count(int64_t hits[2], tw_linear *l, const float *x, const int32_t *y, int64_t n);

#endif
