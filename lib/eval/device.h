/* A device that the large products of evaluation run on instead of the processor's threads, in f32. */
#ifndef TW_EVAL_DEVICE_H
#define TW_EVAL_DEVICE_H

#include <stddef.h>

typedef struct tw_eval_device {
    const struct tw_backend *be; /* NULL: the processor's threads */
    struct tw_dev *dev;
} tw_eval_device;

/* Opens what --device names ("auto": a GPU where there is one). 0, or -1 and tw_error(). */
int tw_eval_device_open(tw_eval_device *d, const char *name);
/* Device memory for `room` numbers: the first n from x, zeros behind. NULL and tw_error(). */
float *tw_eval_device_copy(const tw_eval_device *d, const float *x, size_t n, size_t room);
void tw_eval_device_release(const tw_eval_device *d, void *p); /* NULL is allowed */

void tw_eval_device_close(tw_eval_device *d); /* after a failed open too */

#endif
