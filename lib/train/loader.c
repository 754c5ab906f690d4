#include "train/loader.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AHEAD = 2 }; /* batches being filled or waiting; one more is in the caller's hands */

typedef struct {
    tw_batch batch;
    int rc;             /* fill's result: 1, 0 at the stream's end, -1 */
    char message[1024]; /* rc -1: the reading thread's tw_error(), as each thread has its own */
} job;

struct tw_loader {
    tw_loader_options o;
    tw_reader *reader;
    tw_share share;     /* this rank's places */
    tw_pool *pool;
    job job[AHEAD + 1];
    job *taken;         /* the job whose batch the caller has; NULL: none yet */
    double waited;
    _Atomic bool closing; /* do not wait for a stalled stream any more */
    _Atomic int64_t passed;
    /* For the reading thread only: */
    tw_sample sample;
    bool held;          /* `sample` has been read ahead: the first of the next batch */
    bool ended, begun;
    bool exact;         /* the stream was told where to begin: missing places there are bad images, not a gap */
    tw_position at;     /* place of the sample read last, plus one */
    int64_t first;      /* places before the stream's first sample in its first epoch; -1: nothing has been read */
};

static bool same_size(const tw_tensor *a, int H, int W)
{
    return a->dim[0] == H && a->dim[1] == W;
}

/* Allocates the batch for views like the sample's. */
static int shape(tw_batch *t, const tw_sample *s, int B)
{
    t->B = B;
    t->V = s->n_views;
    t->group = tw_calloc((size_t)s->n_views, sizeof *t->group);
    t->pictures = tw_calloc((size_t)s->n_views, sizeof *t->pictures);
    t->label = tw_calloc((size_t)B, sizeof *t->label);
    t->row = tw_calloc((size_t)B, sizeof *t->row);
    if (t->group == NULL || t->pictures == NULL || t->label == NULL || t->row == NULL)
        return -1;
    for (int v = 0; v < s->n_views; v++) {
        tw_view_group *g = &t->group[t->n_groups > 0 ? t->n_groups - 1 : 0];
        if (t->n_groups > 0 && same_size(&s->views[v], g->H, g->W)) {
            g->n_views++;
            continue;
        }
        if (s->views[v].dim[0] > 1 << 14 || s->views[v].dim[1] > 1 << 14)
            return tw_fail("%.*s: view %d of %lld x %lld pixels is too large", (int)s->key_size, s->key, v,
                           (long long)s->views[v].dim[1], (long long)s->views[v].dim[0]);
        t->group[t->n_groups++] = (tw_view_group){1, (int)s->views[v].dim[0], (int)s->views[v].dim[1]};
    }
    for (int i = 0; i < t->n_groups; i++) {
        const tw_view_group *g = &t->group[i];
        size_t bytes;
        if (!tw_mul(&bytes, (size_t)g->n_views * (size_t)B, (size_t)g->H * (size_t)g->W * 3))
            return tw_fail("batch of %d: does not fit in memory", B);
        t->pictures[i] = tw_alloc64(bytes);
        if (t->pictures[i] == NULL)
            return -1;
    }
    return 0;
}

/* Copies the sample's views to row `row` of the batch. */
static int put(tw_batch *t, const tw_sample *s, int row)
{
    int v = 0;
    if (s->n_views != t->V)
        return tw_fail("%.*s: %d views, where the first sample has %d", (int)s->key_size, s->key, s->n_views, t->V);
    for (int i = 0; i < t->n_groups; i++) {
        const tw_view_group *g = &t->group[i];
        const size_t bytes = (size_t)g->H * (size_t)g->W * 3;
        for (int k = 0; k < g->n_views; k++, v++) {
            if (!same_size(&s->views[v], g->H, g->W))
                return tw_fail("%.*s: view %d is %lld x %lld, where the first sample's is %d x %d", (int)s->key_size, s->key, v,
                               (long long)s->views[v].dim[1], (long long)s->views[v].dim[0], g->W, g->H);
            memcpy(t->pictures[i] + ((size_t)k * (size_t)t->B + (size_t)row) * bytes, s->views[v].data, bytes);
        }
    }
    tw_batch_row *r = &t->row[row];
    if (tw_grow(&r->key, &r->key_cap, s->key_size, 1) != 0)
        return -1;
    if (s->key_size > 0)
        memcpy(r->key, s->key, s->key_size);
    r->key_size = s->key_size;
    r->index = s->index;
    r->pos = s->pos;
    t->label[row] = s->label > INT32_MAX ? -1 : (int32_t)s->label;
    return 0;
}

/* Whether the stream may begin at p: at the start asked for; after it, if the places between are known to be bad images, or nothing has been trained
 * on yet; or at the next epoch, if less than a batch is left of this one. */
static bool may_begin(const tw_loader *b, const tw_position *p)
{
    const tw_position *start = &b->o.start;
    const int64_t n = tw_loader_samples(b, -1);
    const bool fresh = start->epoch == 0 && start->sample == 0;
    if (b->passed > 0 || b->exact || (p->epoch == start->epoch && (p->sample == start->sample || fresh)))
        return true;
    return p->epoch == start->epoch + 1 && p->sample == 0 && n >= 0 && n - start->sample < b->o.B;
}

/* Reads the next sample of this rank, from the start on, into b->sample. 1; 0 at the end; -1. */
static int read_on(tw_loader *b)
{
    const tw_position *start = &b->o.start;
    for (;;) {
        const int rc = tw_reader_next(b->reader, &b->sample);
        if (rc != 1)
            return rc;
        const tw_sample *s = &b->sample;
        const tw_header *h = tw_reader_header(b->reader);
        if (b->first < 0)
            b->first = s->epoch == h->first_epoch ? tw_share_done(&h->share, s->pos) - 1 : b->exact ? start->sample : 0;
        if (!tw_share_has(&b->share, s->pos)) /* another rank's */
            continue;
        const tw_position p = {s->epoch, tw_share_before(&b->share, s->pos)};
        if (p.epoch < start->epoch || (p.epoch == start->epoch && p.sample < start->sample)) {
            b->passed++;
            continue;
        }
        if (!b->begun && !may_begin(b, &p))
            return tw_fail("%s: begins at epoch %lld, sample %lld, which is after epoch %lld, sample %lld, where training continues",
                           tw_reader_name(b->reader), (long long)p.epoch, (long long)p.sample, (long long)start->epoch,
                           (long long)start->sample);
        if (b->begun && (p.epoch < b->at.epoch || (p.epoch == b->at.epoch && p.sample < b->at.sample)))
            return tw_fail("%s: %.*s: epoch %lld, pos %lld %s; training needs positions in ascending order", tw_reader_name(b->reader),
                           (int)s->key_size, s->key, (long long)s->epoch, (long long)s->pos,
                           p.epoch == b->at.epoch && p.sample == b->at.sample - 1 ? "is that of the sample before it too"
                                                                                  : "comes after a later one");
        if (!b->begun && !b->exact && b->passed == 0 && p.epoch == start->epoch && p.sample > start->sample)
            tw_warn("%s: begins at epoch %lld, sample %lld: the samples before it are not trained on", tw_reader_name(b->reader), (long long)p.epoch,
                    (long long)p.sample);
        b->begun = true;
        b->at = (tw_position){p.epoch, tw_share_done(&b->share, s->pos)};
        return 1;
    }
}

/* Fills the batch: 1; 0 if the stream ends first; -1. */
static int fill(tw_loader *b, tw_batch *t)
{
    for (int row = 0; row < b->o.B;) {
        if (!b->held) {
            const int rc = b->ended ? 0 : read_on(b);
            if (rc != 1) {
                b->ended = true;
                return rc;
            }
        }
        b->held = false;
        if (t->group == NULL && shape(t, &b->sample, b->o.B) != 0)
            return -1;
        if (row > 0 && b->sample.epoch != t->epoch) {
            b->held = true; /* the rest of an epoch is dropped */
            row = 0;
            continue;
        }
        t->epoch = b->sample.epoch;
        t->next = b->at;
        if (put(t, &b->sample, row++) != 0)
            return -1;
    }
    return 1;
}

static void run(void *job_, int worker, void *context)
{
    job *j = job_;
    (void)worker;
    j->rc = fill(context, &j->batch);
    if (j->rc < 0)
        snprintf(j->message, sizeof j->message, "%s", tw_error());
}

static bool wait_on(void *context, double seconds)
{
    const tw_loader *b = context;
    const bool opening = b->reader == NULL;
    return !b->closing && !(opening && b->o.stop()) && (b->o.wait == NULL || b->o.wait(b->o.context, seconds));
}

tw_loader *tw_loader_open(const char *endpoint, const tw_loader_options *o)
{
    const tw_place place = {o->rank, o->ranks, o->start.epoch, o->start.sample};
    tw_loader *b = tw_calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->o = *o;
    b->exact = tw_reader_places(endpoint);
    b->at = o->start;
    b->first = -1;
    tw_sample_init(&b->sample);
    b->reader = tw_reader_open_wait(endpoint, NULL, &place, wait_on, b);
    if (b->reader == NULL)
        goto err;
    const tw_header *h = tw_reader_header(b->reader);
    if (h->kind != TW_VIEWS) {
        tw_fail("%s: a stream of %s; views are wanted (twist-augment makes them)", tw_reader_name(b->reader), tw_kind_names[h->kind]);
        goto err;
    }
    b->share = h->share.ranks > 1 ? h->share : (tw_share){o->rank, o->ranks, o->B};
    if (o->ranks > 1 && (b->share.rank != o->rank || b->share.ranks != o->ranks)) {
        tw_fail("%s: has the positions of shard %d/%d, but this is rank %d of %d: use --shard=%%r/%%n", tw_reader_name(b->reader), b->share.rank,
                b->share.ranks, o->rank, o->ranks);
        goto err;
    }
    b->pool = tw_pool_new(1, AHEAD + 1, run, b);
    if (b->pool == NULL)
        goto err;
    for (int i = 0; i < AHEAD; i++)
        tw_pool_submit(b->pool, &b->job[i]);
    b->taken = &b->job[AHEAD]; /* as if the caller had it: the first call takes it back */
    return b;
err:
    tw_loader_close(b);
    return NULL;
}

const tw_header *tw_loader_header(const tw_loader *b)
{
    return tw_reader_header(b->reader);
}

int64_t tw_loader_samples(const tw_loader *b, int64_t all)
{
    const tw_header *h = tw_loader_header(b);
    if (all < 0 && (h->samples < 0 || h->share.ranks > 1))
        return h->samples;
    return tw_share_before(&b->share, all < 0 ? h->samples : all);
}

const char *tw_loader_name(const tw_loader *b)
{
    return tw_reader_name(b->reader);
}

int tw_loader_next(tw_loader *b, const tw_batch **out)
{
    static const struct timespec nap = {0, 500000};
    if (b->taken != NULL)
        tw_pool_submit(b->pool, b->taken);
    b->taken = tw_pool_take_ready(b->pool);
    if (b->taken == NULL) {
        const double since = tw_now();
        while ((b->taken = tw_pool_take_ready(b->pool)) == NULL && !b->o.stop())
            nanosleep(&nap, NULL);
        b->waited += tw_now() - since;
    }
    if (b->taken == NULL)
        return 2;
    if (b->taken->rc < 0) {
        tw_fail("%s", b->taken->message);
        return tw_reader_gave_up(b->reader) ? 3 : -1;
    }
    *out = &b->taken->batch;
    return b->taken->rc;
}

bool tw_loader_complete(const tw_loader *b, int64_t epoch)
{
    const tw_header *h = tw_loader_header(b);
    const tw_end *end = tw_reader_end(b->reader);
    int64_t all;
    if (h->samples < 0 || h->epochs <= epoch - h->first_epoch || b->at.epoch != epoch || __builtin_mul_overflow(h->samples, h->epochs, &all))
        return false;
    const int64_t begun = b->first >= 0 ? b->first : b->o.start.sample; /* the stream may begin at the start or before it */
    return end->samples + end->skipped >= all - begun;
}

const tw_batch *tw_loader_ahead(tw_loader *b)
{
    const job *next = tw_pool_ready(b->pool);
    return next != NULL && next->rc == 1 ? &next->batch : NULL;
}

int64_t tw_loader_passed(const tw_loader *b)
{
    return b->passed;
}

double tw_loader_waited(const tw_loader *b)
{
    return b->waited;
}

void tw_loader_close(tw_loader *b)
{
    if (b == NULL)
        return;
    b->closing = true;
    tw_pool_free(b->pool);
    tw_reader_close(b->reader);
    tw_sample_fini(&b->sample);
    for (int i = 0; i <= AHEAD; i++) {
        tw_batch *t = &b->job[i].batch;
        for (int k = 0; k < t->n_groups; k++)
            free(t->pictures[k]);
        for (int k = 0; t->row != NULL && k < t->B; k++)
            free(t->row[k].key);
        free(t->row);
        free(t->group);
        free(t->pictures);
        free(t->label);
    }
    free(b);
}
