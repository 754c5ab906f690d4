/* Inside lib/eval: the classifier of linear.h on a device, which holds its weights and gradients and does the steps. x: device memory. */
#ifndef TW_EVAL_LINEAR_DEVICE_H
#define TW_EVAL_LINEAR_DEVICE_H

#include "eval/device.h"

#include <stdint.h>

typedef struct tw_linear_device tw_linear_device;

/* 0 or an object; -1 or NULL and tw_error() if the device fails. set, get: copy w [C,D] and b [C] from and to host memory. */
tw_linear_device *tw_linear_device_new(const tw_eval_device *d, int C, int D, int B, float momentum, float decay);
void tw_linear_device_free(tw_linear_device *l); /* NULL is allowed */
int tw_linear_device_set(tw_linear_device *l, const float *w, const float *b);
int tw_linear_device_get(const tw_linear_device *l, float *w, float *b);
/* One step on the first n rows of x [B,D]; *loss: the sum of their losses, NaN if a logit was not finite. */
int tw_linear_device_step(tw_linear_device *l, double *loss, const float *x, const int32_t *y, int n, float lr);
/* As tw_linear_count; x: n rows, padded to a multiple of B. */
int tw_linear_device_count(tw_linear_device *l, int64_t hits[2], const float *x, const int32_t *y, int64_t n);

#endif
