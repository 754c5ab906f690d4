#include "train/buffers.h"

#include "core/mem.h"

#include <stdlib.h>

struct tw_buffers {
    tw_net *net;
    float *copy;     /* statistics, in device memory */
    int64_t *counts; /* num_batches_tracked, in host memory */
};

tw_buffers *tw_buffers_new(tw_net *net)
{
    const tw_backend *be = tw_net_backend(net);
    size_t bytes, counts = 0;
    tw_net_buffers(net, &bytes);
    for (int i = 0; i < tw_net_params(net); i++)
        counts += tw_net_param(net, i)->device == NULL;
    tw_buffers *b = tw_calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->net = net;
    b->counts = tw_calloc(counts, sizeof *b->counts);
    b->copy = be->alloc(tw_net_device(net), bytes);
    if (b->copy == NULL)
        tw_backend_failed(be);
    if (b->counts != NULL && b->copy != NULL)
        return b;
    tw_buffers_free(b);
    return NULL;
}

void tw_buffers_free(tw_buffers *b)
{
    if (b == NULL)
        return;
    tw_net_backend(b->net)->release(tw_net_device(b->net), b->copy);
    free(b->counts);
    free(b);
}

static int move(tw_buffers *b, bool back)
{
    const tw_backend *be = tw_net_backend(b->net);
    size_t bytes;
    float *values = tw_net_buffers(b->net, &bytes);
    int64_t *count = b->counts;
    for (int i = 0; i < tw_net_params(b->net); i++) {
        const tw_param *p = tw_net_param(b->net, i);
        if (p->device != NULL)
            continue;
        int64_t *value = p->value;
        *(back ? value : count) = *(back ? count : value);
        count++;
    }
    return TW_BACKEND(be, be->copy(tw_net_device(b->net), back ? values : b->copy, back ? b->copy : values, bytes));
}

int tw_buffers_keep(tw_buffers *b)
{
    return move(b, false);
}

int tw_buffers_restore(tw_buffers *b)
{
    return move(b, true);
}
