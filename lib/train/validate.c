#include "train/validate.h"

#include "core/error.h"
#include "core/mem.h"
#include "stream/reader.h"
#include "train/labels.h"

#include <stdlib.h>
#include <string.h>

/* Views of one size that wait to be computed. */
typedef struct {
    tw_net *net;
    const tw_validation_options *o;
    tw_reader *reader;
    tw_plan *plan;
    int H, W, n;
    uint8_t *pixels;  /* [B,H,W,3] */
    size_t cap;
    int32_t *label;   /* [B] */
    int64_t hits[2], samples;
    double loss;
} run;

static int check_header(const run *r)
{
    const tw_header *h = tw_reader_header(r->reader);
    const char *name = tw_reader_name(r->reader);
    if (h->kind != TW_VIEWS)
        return tw_fail("%s: a stream of %s; views are wanted (twist-augment --aug=eval makes them)", name, tw_kind_names[h->kind]);
    if (r->o->classes == NULL || h->n_classes < 0)
        return 0;
    if (h->n_classes != r->o->n_classes)
        return tw_fail("%s: %d classes, where the training data has %d", name, h->n_classes, r->o->n_classes);
    for (int i = 0; i < h->n_classes; i++)
        if (strcmp(h->classes[i], r->o->classes[i]) != 0)
            return tw_fail("%s: class %d is %.64s, where the training data has %.64s", name, i, h->classes[i], r->o->classes[i]);
    return 0;
}

static int compute(run *r)
{
    const uint8_t *pictures[] = {r->pixels};
    const tw_view_group group = {1, r->H, r->W};
    if (r->n == 0)
        return 0;
    if (r->plan == NULL && (r->plan = tw_plan_new(r->net, &group, 1, r->o->B, TW_PLAN_EVAL)) == NULL)
        return -1;
    if (tw_plan_forward(r->plan, pictures, r->n, 0) != 0)
        return -1;
    r->loss += r->n * tw_loss_labels(NULL, r->hits, tw_plan_logits(r->plan), r->label, 1, r->n, tw_net_classes(r->net));
    r->samples += r->n;
    r->n = 0;
    return 0;
}

static int add(run *r, const tw_sample *s)
{
    const char *name = tw_reader_name(r->reader);
    const int size = (int)(s->key_size < 200 ? s->key_size : 200);
    if (s->n_views != 1)
        return tw_fail("%s: %.*s: %d views, want one of each picture", name, size, s->key, s->n_views);
    if (s->label < 0 || s->label >= tw_net_classes(r->net))
        return tw_fail(s->label < 0 ? "%s: %.*s: no label" : "%s: %.*s: a label beyond the classes", name, size, s->key);
    const tw_tensor *v = &s->views[0];
    const size_t bytes = (size_t)tw_tensor_bytes(v);
    size_t all;
    if (r->H != v->dim[0] || r->W != v->dim[1]) {
        if (compute(r) != 0)
            return -1;
        tw_plan_free(r->plan);
        r->plan = NULL;
        r->H = v->dim[0] < 1 << 20 ? (int)v->dim[0] : 1 << 20;
        r->W = v->dim[1] < 1 << 20 ? (int)v->dim[1] : 1 << 20;
    }
    if (!tw_mul(&all, bytes, (size_t)r->o->B))
        return tw_fail("%s: views of %d x %d pixels are too large", name, r->W, r->H);
    if (tw_grow(&r->pixels, &r->cap, all, 1) != 0)
        return -1;
    memcpy(r->pixels + (size_t)r->n * bytes, v->data, bytes);
    r->label[r->n++] = (int32_t)s->label;
    return r->n < r->o->B ? 0 : compute(r);
}

static int all_samples(run *r)
{
    tw_sample s;
    int rc;
    tw_sample_init(&s);
    while ((rc = tw_reader_next(r->reader, &s)) == 1) {
        rc = add(r, &s) != 0 ? -1 : r->o->stop() ? 2 : 1;
        if (rc != 1)
            break;
    }
    tw_sample_fini(&s);
    return rc;
}

int tw_validate(tw_validation *v, tw_net *net, const tw_validation_options *o)
{
    run r = {.net = net, .o = o, .label = tw_calloc((size_t)o->B, sizeof *r.label)};
    int rc = -1;
    if (r.label != NULL && (r.reader = tw_reader_open(o->endpoint, NULL, NULL)) != NULL && check_header(&r) == 0)
        rc = all_samples(&r);
    if (rc == 0 && (rc = compute(&r)) == 0)
        rc = r.samples > 0 ? 1 : tw_fail("%s: no sample to measure on", tw_reader_name(r.reader));
    if (rc == 1)
        *v = (tw_validation){r.samples, r.loss / (double)r.samples, (double)r.hits[0] / (double)r.samples,
                             (double)r.hits[1] / (double)r.samples};
    tw_reader_close(r.reader);
    tw_plan_free(r.plan);
    free(r.pixels);
    free(r.label);
    return rc;
}
