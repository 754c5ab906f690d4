#include "eval/views.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES = 3 };

struct tw_views {
    tw_reader *reader;
    tw_pool *pool;
    tw_view_batch batch[BATCHES];
    tw_view_batch *taken[2]; /* batches that the caller has, the older one first */
    int B;
    int (*stop)(void);    /* NULL: never */
    _Atomic bool closing;  /* do not wait for a stalled stream any more */
    /* For the reading thread only: */
    bool is_held, ended;
    tw_sample held;       /* first sample of the next batch: its view's size differs from the present batch's */
    const tw_kept *kept;
    int64_t n, pass;      /* samples read; samples still to be skipped */
    bool behind;          /* the next sample's place must come after that of kept's last one */
};

static int name_size(const tw_sample *s)
{
    return (int)(s->key_size < 200 ? s->key_size : 200);
}

/* Checks that s comes after kept's last sample, if the command was told where to begin. 0, or -1 and tw_error(). */
static int check_behind(tw_views *v, const tw_sample *s)
{
    const tw_kept *k = v->kept;
    v->behind = false;
    return tw_kept_behind(k, s) ? 0
                                : tw_fail("%s: %.*s: epoch %lld, position %lld, but the features to be continued go to epoch %lld, position %lld: "
                                          "it must begin after them",
                                          tw_reader_name(v->reader), name_size(s), s->key, (long long)s->epoch, (long long)s->pos,
                                          (long long)k->epoch, (long long)k->pos);
}

/* As tw_reader_next, but returns the held sample first. */
static int next(tw_views *v, tw_sample *s)
{
    if (v->is_held) {
        const tw_sample other = *s;
        *s = v->held;
        v->held = other;
        v->is_held = false;
        return 1;
    }
    int rc = 1;
    while ((rc = tw_reader_next(v->reader, s)) == 1 && v->pass > 0)
        if (--v->pass == 0 && !tw_kept_last(v->kept, s))
            return tw_fail("%s: %.*s: not the input of the last sample of the features to be continued", tw_reader_name(v->reader),
                           name_size(s), s->key);
    if (rc == 0 && v->pass > 0)
        return tw_fail("%s: ends before the last sample of the features to be continued", tw_reader_name(v->reader));
    if (rc != 1 || (v->behind && check_behind(v, s) != 0))
        return rc != 1 ? rc : -1;
    if (s->n_views != 1)
        return tw_fail("%s: sample %lld (%.*s): %d views, want one per picture", tw_reader_name(v->reader), (long long)v->n, name_size(s),
                       s->key, s->n_views);
    v->n++;
    return 1;
}

static int add(tw_view_batch *b, const tw_sample *s, int B)
{
    const tw_tensor *t = &s->views[0];
    const size_t bytes = (size_t)tw_tensor_bytes(t);
    if (b->n == 0) {
        size_t all;
        if (t->dim[0] > 1 << 14 || t->dim[1] > 1 << 14 || !tw_mul(&all, bytes, (size_t)B))
            return tw_fail("views of %lld x %lld pixels are too large", (long long)t->dim[0], (long long)t->dim[1]);
        b->H = (int)t->dim[0];
        b->W = (int)t->dim[1];
        if (tw_grow(&b->pixels, &b->cap, all, 1) != 0)
            return -1;
    }
    memcpy(b->pixels + (size_t)b->n++ * bytes, t->data, bytes);
    return 0;
}

static int fill(tw_views *v, tw_view_batch *b)
{
    while (b->n < v->B) {
        tw_sample *s = &b->sample[b->n];
        const int rc = next(v, s);
        if (rc != 1)
            return rc;
        if (b->n > 0 && (s->views[0].dim[0] != b->H || s->views[0].dim[1] != b->W)) {
            const tw_sample other = v->held;
            v->held = *s;
            *s = other;
            v->is_held = true;
            return 1;
        }
        if (add(b, s, v->B) != 0)
            return -1;
    }
    return 1;
}

static void read_batch(void *job, int worker, void *context)
{
    tw_view_batch *b = job;
    tw_views *v = context;
    (void)worker;
    b->n = 0;
    b->rc = v->ended ? 0 : fill(v, b);
    v->ended = b->rc != 1;
    if (b->rc < 0)
        snprintf(b->error, sizeof b->error, "%s", tw_error());
}

static bool wait_on(void *context, double seconds)
{
    const tw_views *v = context;
    (void)seconds;
    return !v->closing && !(v->stop != NULL && v->stop() != 0);
}

static int open_reader(tw_views *v, const char *endpoint)
{
    const tw_kept *k = v->kept;
    const bool going_on = k != NULL && k->samples > 0;
    const bool there = tw_reader_places(endpoint); /* the command can be told where to begin */
    const tw_place place = k != NULL ? tw_kept_place(k, endpoint) : (tw_place){0, 1, 0, 0};
    v->pass = going_on && !there ? k->samples : 0;
    v->behind = going_on && there;
    v->reader = tw_reader_open_wait(endpoint, NULL, &place, wait_on, v);
    if (v->reader == NULL)
        return -1;
    const tw_header *h = tw_reader_header(v->reader);
    if (h->kind != TW_VIEWS)
        return tw_fail("%s: a stream of %s, want views (twist-augment --aug=eval makes them)", tw_reader_name(v->reader),
                       tw_kind_names[h->kind]);
    return 0;
}

static int make_batches(tw_views *v)
{
    tw_sample_init(&v->held);
    for (int i = 0; i < BATCHES; i++) {
        v->batch[i].sample = tw_calloc((size_t)v->B, sizeof *v->batch[i].sample);
        if (v->batch[i].sample == NULL)
            return -1;
        for (int k = 0; k < v->B; k++)
            tw_sample_init(&v->batch[i].sample[k]);
    }
    return 0;
}

tw_views *tw_views_open(const char *endpoint, int B, const tw_kept *kept, int (*stop)(void))
{
    tw_views *v = tw_calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->B = B;
    v->kept = kept;
    v->stop = stop;
    if (make_batches(v) != 0 || open_reader(v, endpoint) != 0 || (v->pool = tw_pool_new(1, BATCHES, read_batch, v)) == NULL) {
        tw_views_close(v);
        return NULL;
    }
    tw_pool_submit(v->pool, &v->batch[2]);
    v->taken[0] = &v->batch[0]; /* as if the caller had them: the first calls take them back */
    v->taken[1] = &v->batch[1];
    return v;
}

tw_reader *tw_views_reader(const tw_views *v)
{
    return v->reader;
}

int tw_views_next(tw_views *v, tw_view_batch **b)
{
    if (v->taken[1]->rc < 0) /* the batch before the failure has been returned; now the failure */
        return tw_fail("%s", v->taken[1]->error);
    tw_view_batch *t = v->taken[0];
    v->taken[0] = v->taken[1];
    do {
        tw_pool_submit(v->pool, t);
        t = tw_pool_take(v->pool);
    } while (t->rc == 1 && t->n == 0);
    v->taken[1] = *b = t;
    if (t->n > 0)
        return 1;
    return t->rc < 0 ? tw_fail("%s", t->error) : 0;
}

void tw_views_close(tw_views *v)
{
    if (v == NULL)
        return;
    v->closing = true;
    tw_pool_free(v->pool);
    tw_reader_close(v->reader);
    for (int i = 0; i < BATCHES; i++) {
        for (int k = 0; v->batch[i].sample != NULL && k < v->B; k++)
            tw_sample_fini(&v->batch[i].sample[k]);
        free(v->batch[i].sample);
        free(v->batch[i].pixels);
    }
    tw_sample_fini(&v->held);
    free(v);
}
