/* Training of a linear classifier on fixed features: softmax cross-entropy and SGD with momentum, as PyTorch's Linear, CrossEntropyLoss and SGD in
 * fp32. */
#ifndef TW_EVAL_LINEAR_H
#define TW_EVAL_LINEAR_H

#include "eval/blocks.h"

#include <stdint.h>

typedef struct tw_linear tw_linear;

/* C classes, D features, batches of up to B samples; weights are zero. Memory: 4 (3 C D + 2 B (C + D)) bytes. If `threads` has a device, steps run
 * there, and x below is device memory with room for B rows (step) or a multiple of B rows (count), of which the first n count. NULL and
 * tw_error(). */
tw_linear *tw_linear_new(int C, int D, int B, double momentum, double weight_decay, tw_blocks *threads);
void tw_linear_free(tw_linear *l); /* NULL is allowed */

int tw_linear_fetch(tw_linear *l);     /* copies weight and bias from the device: call before reading them. 0, or -1 and tw_error() */
float *tw_linear_weight(tw_linear *l); /* [C,D], borrowed */
float *tw_linear_bias(tw_linear *l);   /* [C], borrowed */

/* Initialises the weights with normal(0, 0.01), random numbers from (seed, TW_USE_LINEAR); bias 0 (twist-method.md 6). */
void tw_linear_init(tw_linear *l, uint64_t seed);

/* One step on n <= B samples x [n,D] with labels y [n] in 0..C-1, as torch.optim.SGD: g is the gradient of the mean loss plus weight decay, for
 * weight and bias alike; v = momentum v + g; w -= lr v. Returns the sum of the samples' losses before the step, in nats; NaN if a logit was not
 * finite; -1 and tw_error() if the device fails. The same bits for any number of threads. */
double tw_linear_step(tw_linear *l, const float *x, const int32_t *y, int n, double lr);

/* Adds to hits[0] and hits[1] the number of samples whose label is the top-1 class, is among the top 5, by logit (of equal ones the lower class
 * first). x: [n,D], any n. 0, or -1 and tw_error(). */
int tw_linear_count(int64_t hits[2], tw_linear *l, const float *x, const int32_t *y, int64_t n);

#endif
