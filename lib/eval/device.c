#include "eval/device.h"

#include "nn/backend.h"

#include <string.h>

int tw_eval_device_open(tw_eval_device *d, const char *name)
{
    *d = (tw_eval_device){0};
    const char *found = tw_backend_choose(name);
    if (found == NULL || strcmp(found, "cpu") == 0) /* the CPU's products are lib/eval's own */
        return found != NULL ? 0 : -1;
    d->be = tw_backend_open(found);
    if (d->be == NULL)
        return -1;
    if ((d->dev = d->be->open(TW_F32, 1)) == NULL)
        return tw_backend_failed(d->be);
    d->be->enter(d->dev);
    return 0;
}

float *tw_eval_device_copy(const tw_eval_device *d, const float *x, size_t n, size_t room)
{
    float *p = d->be->alloc(d->dev, room * sizeof *p);
    if (p != NULL && d->be->upload(d->dev, p, x, n * sizeof *x) == 0)
        return p;
    tw_backend_failed(d->be);
    d->be->release(d->dev, p);
    return NULL;
}

void tw_eval_device_release(const tw_eval_device *d, void *p)
{
    if (d->be != NULL)
        d->be->release(d->dev, p);
}

void tw_eval_device_close(tw_eval_device *d)
{
    if (d->dev != NULL)
        d->be->close(d->dev);
    *d = (tw_eval_device){0};
}
