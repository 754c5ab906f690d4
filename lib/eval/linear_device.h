/* Inside lib/eval: linear.h's classifier with its weights, gradients and steps on a device. x: device memory. */
#ifndef TW_EVAL_LINEAR_DEVICE_H
#define TW_EVAL_LINEAR_DEVICE_H

#include "eval/device.h"

#include <stddef.h>
#include <stdint.h>

typedef struct tw_linear_device tw_linear_device;

/* Each NULL or -1 with tw_error() where the device fails. w [C,D], b [C]: host memory. */
tw_linear_device *tw_linear_device_new(const tw_eval_device *d, int C, int D, int B, float momentum, float decay);
void tw_linear_device_free(tw_linear_device *l); /* NULL is allowed */
int tw_linear_device_set(tw_linear_device *l, const float *w, const float *b);
int tw_linear_device_get(const tw_linear_device *l, float *w, float *b);
/* x [B,D], of which n rows count: the sum of their losses, NaN where a logit was not finite. */
int tw_linear_device_step(tw_linear_device *l, double *loss, const float *x, const int32_t *y, int n, float lr);
/* x [n,D] and rows that do not count up to a multiple of B. */
int tw_linear_device_count(tw_linear_device *l, int64_t hits[2], const float *x, const int32_t *y, int64_t n);

#endif
