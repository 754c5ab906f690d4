/* A device on which evaluation's large matrix products run, in f32, instead of on the CPU's threads. */
#ifndef TW_EVAL_DEVICE_H
#define TW_EVAL_DEVICE_H

#include <stddef.h>

typedef struct tw_eval_device {
    const struct tw_backend *be; /* NULL: the CPU's threads */
    struct tw_dev *dev;
} tw_eval_device;

/* Opens the device that --device names ("auto": a GPU if there is one). 0, or -1 and tw_error(). */
int tw_eval_device_open(tw_eval_device *d, const char *name);
/* Allocates device memory for `room` floats: the first n are copied from x, the others zero. NULL and tw_error(). */
float *tw_eval_device_copy(const tw_eval_device *d, const float *x, size_t n, size_t room);
void tw_eval_device_release(const tw_eval_device *d, void *p); /* NULL is allowed */

void tw_eval_device_close(tw_eval_device *d); /* after a failed open too */

#endif
