#include "nn/ahead.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *pictures, *raw; /* in pinned host memory, in device memory */
    float *between, *back;   /* the results, in f32, in device memory, in pinned host memory */
} slot;

struct tw_ahead {
    const tw_backend *be;
    tw_dev *dev;
    slot slot[2];
    size_t picture_bytes, D, K;
    uint64_t sent, taken;
};

static void *pinned(const tw_ahead *a, size_t bytes)
{
    void *p = tw_alloc64(bytes);
    if (p == NULL || TW_BACKEND(a->be, a->be->pin(a->dev, p, bytes)) == 0)
        return p;
    free(p);
    return NULL;
}

static void unpinned(const tw_ahead *a, void *p)
{
    if (p != NULL)
        a->be->unpin(a->dev, p);
    free(p);
}

static int open_slot(tw_ahead *a, slot *s)
{
    const size_t results = (a->D + a->K) * sizeof(float);
    s->pictures = pinned(a, a->picture_bytes);
    s->back = s->pictures == NULL ? NULL : pinned(a, results);
    if (s->back == NULL)
        return -1;
    s->raw = a->be->alloc(a->dev, a->picture_bytes);
    s->between = a->be->alloc(a->dev, results);
    if (s->raw == NULL || s->between == NULL)
        return tw_backend_failed(a->be);
    return TW_BACKEND(a->be, a->be->upload(a->dev, s->raw, s->pictures, 1)); /* waits until both are zeroed */
}

tw_ahead *tw_ahead_new(const tw_backend *be, tw_dev *dev, size_t picture_bytes, size_t D, size_t K)
{
    tw_ahead *a = tw_calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    *a = (tw_ahead){.be = be, .dev = dev, .picture_bytes = picture_bytes, .D = D, .K = K};
    if (open_slot(a, &a->slot[0]) == 0 && open_slot(a, &a->slot[1]) == 0)
        return a;
    tw_ahead_free(a);
    return NULL;
}

void tw_ahead_free(tw_ahead *a)
{
    for (int i = 0; a != NULL && i < 2; i++) {
        slot *s = &a->slot[i];
        a->be->release(a->dev, s->raw); /* waits for what uses it */
        a->be->release(a->dev, s->between);
        unpinned(a, s->pictures);
        unpinned(a, s->back);
    }
    free(a);
}

const uint8_t *tw_ahead_send(tw_ahead *a, const uint8_t *pictures, size_t bytes)
{
    slot *s = &a->slot[a->sent % 2];
    if (a->sent - a->taken == 2 || bytes > a->picture_bytes) {
        tw_fail("a third batch sent before the results of the first are taken");
        return NULL;
    }
    memcpy(s->pictures, pictures, bytes);
    return TW_BACKEND(a->be, a->be->upload_ahead(a->dev, s->raw, s->pictures, bytes)) == 0 ? s->raw : NULL;
}

int tw_ahead_return(tw_ahead *a, const void *x, const void *y)
{
    const int i = (int)(a->sent++ % 2);
    slot *s = &a->slot[i];
    if (TW_BACKEND(a->be, a->be->to_f32_behind(a->dev, s->back, s->between, x, a->D, i)) != 0)
        return -1;
    return a->K == 0 ? 0 : TW_BACKEND(a->be, a->be->to_f32_behind(a->dev, s->back + a->D, s->between + a->D, y, a->K, i));
}

int tw_ahead_take(tw_ahead *a, float *x, float *y)
{
    if (a->taken == a->sent)
        return tw_fail("no batch has been sent");
    const int i = (int)(a->taken++ % 2);
    if (TW_BACKEND(a->be, a->be->wait_for(a->dev, i)) != 0)
        return -1;
    memcpy(x, a->slot[i].back, a->D * sizeof *x);
    if (a->K > 0)
        memcpy(y, a->slot[i].back + a->D, a->K * sizeof *y);
    return 0;
}
