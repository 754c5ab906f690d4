#include "eval/batches.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/philox.h"
#include "nn/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the next sample into b->held; is_held: whether there was one. 0, or -1 and tw_error(). */
static int read_ahead(tw_batches *b)
{
    const int rc = tw_reader_next(b->reader, &b->held);
    b->is_held = rc == 1;
    return rc < 0 ? -1 : 0;
}

/* Puts the held sample in row n of the batch and reads the next one. 0, or -1 and tw_error(). */
static int take_held(tw_batches *b, int n)
{
    const tw_sample *s = &b->held;
    char text[80];
    if (s->label < 0)
        return tw_roster_fail(b->who, s, "no label");
    if (s->label >= b->classes) {
        snprintf(text, sizeof text, "label %lld: there are %d classes%s", (long long)s->label, b->classes,
                 b->who->named > 0 ? "" : " (--classes tells how many)");
        return tw_roster_fail(b->who, s, text);
    }
    float *x = b->device != NULL ? b->host_x : b->x;
    if (tw_vector_check(&b->D, b->who, s, &s->features, "features") != 0 ||
        tw_vector_copy(x + (size_t)n * b->D, b->who, s, &s->features, "features") != 0 || tw_roster_pass(b->who, s) != 0)
        return -1;
    b->y[n] = (int32_t)s->label;
    return read_ahead(b);
}

int tw_batches_open(tw_batches *b, const char *endpoint, int size, uint64_t seed)
{
    size_t room;
    *b = (tw_batches){.size = size, .seed = seed, .who = &b->features.who, .epoch = -1};
    tw_sample_init(&b->held);
    if ((b->reader = tw_reader_open(endpoint, NULL, NULL)) == NULL)
        return -1;
    const tw_header *h = tw_reader_header(b->reader);
    if (h->epochs > 1) {
        b->epochs = h->epochs;
        if (tw_roster_init(b->who, b->reader) != 0 || read_ahead(b) != 0)
            return -1;
        if (!b->is_held)
            return tw_fail("%s: no samples", b->who->name);
        if (tw_vector_check(&b->D, b->who, &b->held, &b->held.features, "features") != 0)
            return -1;
    } else {
        if (tw_features_take(&b->features, b->reader) != 0 || tw_roster_labelled(b->who) != 0)
            return -1;
        b->kept = &b->features;
        b->D = b->features.D;
        if ((b->order = tw_calloc((size_t)b->who->n, sizeof *b->order)) == NULL)
            return -1;
        if (size > b->who->n)
            b->size = (int)b->who->n;
        b->at = b->who->n;
    }
    if (!tw_mul(&room, (size_t)b->size, (size_t)b->D))
        return tw_fail("%s: batches of %d samples are too large", b->who->name, b->size);
    b->x = tw_calloc(room, sizeof *b->x);
    b->y = tw_calloc((size_t)b->size, sizeof *b->y);
    return b->x != NULL && b->y != NULL ? 0 : -1;
}

int tw_batches_to_device(tw_batches *b, const tw_eval_device *d)
{
    const size_t batch = (size_t)b->size * (size_t)b->D, n = b->kept != NULL ? (size_t)b->who->n : 0;
    b->device = d;
    b->host_x = b->x;
    b->x = tw_eval_device_copy(d, b->host_x, batch, batch);
    if (b->x == NULL)
        return -1;
    if (b->kept == NULL)
        return 0;
    b->row = d->be->alloc(d->dev, (size_t)b->size * sizeof *b->row);
    if (b->row == NULL)
        return tw_backend_failed(d->be);
    return (b->kept_x = tw_eval_device_copy(d, b->features.x, n * (size_t)b->D, n * (size_t)b->D)) != NULL ? 0 : -1;
}

/* Puts m kept rows, from place `at` of the order on, in the batch. */
static int gather(tw_batches *b, int64_t at, int m)
{
    const tw_eval_device *d = b->device;
    if (d == NULL) {
        for (int i = 0; i < m; i++)
            memcpy(b->x + (size_t)i * b->D, b->features.x + b->order[at + i] * b->D, (size_t)b->D * sizeof *b->x);
        return 0;
    }
    if (TW_BACKEND(d->be, d->be->upload(d->dev, b->row, b->order + at, (size_t)m * sizeof *b->row)) != 0)
        return -1;
    return TW_BACKEND(d->be, d->be->gather_rows(d->dev, b->x, b->kept_x, b->row, m, b->D));
}

static int next_kept(tw_batches *b)
{
    const int64_t n = b->who->n;
    int m = 0;
    if (b->at == n) {
        tw_rng r;
        tw_rng_init(&r, b->seed, TW_USE_LINEAR, 0, (uint32_t)++b->epoch, 1);
        tw_rng_permutation(&r, b->order, (uint64_t)n);
        b->at = 0;
    } else if (b->at < 0) { /* the epoch's end has not been returned yet */
        b->at = n;
        return 0;
    }
    for (; m < b->size && b->at < n; m++, b->at++)
        b->y[m] = b->who->label[b->order[b->at]];
    if (gather(b, b->at - m, m) != 0)
        return -1;
    if (b->at == n)
        b->at = -1;
    return m;
}

static int next_streamed(tw_batches *b)
{
    int n = 0;
    if (b->at == 0 && b->is_held)
        b->epoch = b->held.epoch;
    while (n < b->size && b->is_held && b->held.epoch == b->epoch)
        if (take_held(b, n++) != 0)
            return -1;
    b->at = n; /* 0: the next call begins an epoch */
    const tw_eval_device *d = b->device;
    if (d != NULL && n > 0 && TW_BACKEND(d->be, d->be->upload(d->dev, b->x, b->host_x, (size_t)n * (size_t)b->D * sizeof *b->x)) != 0)
        return -1;
    return n;
}

int tw_batches_next(tw_batches *b)
{
    return b->kept != NULL ? next_kept(b) : next_streamed(b);
}

int tw_batches_finish(tw_batches *b)
{
    if (b->kept == NULL && b->is_held)
        return tw_fail("%s: has more samples after its %lld epochs", b->who->name, (long long)b->epochs);
    return 0;
}

void tw_batches_close(tw_batches *b)
{
    tw_reader_close(b->reader);
    tw_sample_fini(&b->held);
    tw_features_fini(&b->features);
    free(b->order);
    if (b->device != NULL) {
        tw_eval_device_release(b->device, b->x);
        tw_eval_device_release(b->device, b->kept_x);
        tw_eval_device_release(b->device, b->row);
        b->x = b->host_x;
    }
    free(b->x);
    free(b->y);
}
