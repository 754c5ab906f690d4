#include "train/validate.h"

#include "core/error.h"
#include "core/mem.h"
#include "eval/views.h"
#include "stream/zmq.h"
#include "train/labels.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    tw_net *net;
    const tw_validation_options *o;
    tw_views *views;
    tw_reader *reader; /* of the views */
    tw_plan *plan;
    int H, W;          /* of the plan */
    int32_t *label;    /* [B] */
    int64_t hits[2], samples;
    double loss;
} run;

static int check_header(const run *r)
{
    const tw_header *h = tw_reader_header(r->reader);
    const char *name = tw_reader_name(r->reader);
    if (r->o->classes == NULL || h->n_classes < 0)
        return 0;
    if (h->n_classes != r->o->n_classes)
        return tw_fail("%s: %d classes, where the training data has %d", name, h->n_classes, r->o->n_classes);
    for (int i = 0; i < h->n_classes; i++)
        if (strcmp(h->classes[i], r->o->classes[i]) != 0)
            return tw_fail("%s: class %d is %.64s, where the training data has %.64s", name, i, h->classes[i], r->o->classes[i]);
    return 0;
}

static int take_label(run *r, const tw_sample *s, int row)
{
    const int size = (int)(s->key_size < 200 ? s->key_size : 200);
    if (s->label < 0 || s->label >= tw_net_classes(r->net))
        return tw_fail(s->label < 0 ? "%s: %.*s: no label" : "%s: %.*s: a label beyond the classes", tw_reader_name(r->reader), size, s->key);
    r->label[row] = (int32_t)s->label;
    return 0;
}

static int compute(run *r, const tw_view_batch *b)
{
    const uint8_t *pictures[] = {b->pixels};
    const tw_view_group group = {1, b->H, b->W};
    for (int i = 0; i < b->n; i++)
        if (take_label(r, &b->sample[i], i) != 0)
            return -1;
    if (r->plan != NULL && (r->H != b->H || r->W != b->W)) {
        tw_plan_free(r->plan);
        r->plan = NULL;
    }
    r->H = b->H;
    r->W = b->W;
    if (r->plan == NULL && (r->plan = tw_plan_new(r->net, &group, 1, r->o->B, TW_PLAN_EVAL)) == NULL)
        return -1;
    if (tw_plan_forward(r->plan, pictures, b->n, 0) != 0)
        return -1;
    r->loss += b->n * tw_loss_labels(NULL, r->hits, tw_plan_logits(r->plan), r->label, 1, b->n, tw_net_classes(r->net));
    r->samples += b->n;
    return 0;
}

/* Evaluates all samples. 0: done; 2: stop() became true; -1 and tw_error(). */
static int all_samples(run *r)
{
    tw_view_batch *b;
    int rc;
    while ((rc = tw_views_next(r->views, &b)) == 1) {
        if (compute(r, b) != 0)
            return -1;
        if (r->o->stop())
            return 2;
    }
    return rc;
}

static int begin(run *r)
{
    r->label = tw_calloc((size_t)r->o->B, sizeof *r->label);
    r->views = r->label != NULL ? tw_views_open(r->o->endpoint, r->o->B, NULL, r->o->stop) : NULL;
    if (r->views == NULL)
        return -1;
    r->reader = tw_views_reader(r->views);
    return check_header(r);
}

static int none(const run *r)
{
    return tw_fail("%s: no sample to measure on", tw_reader_name(r->reader));
}

bool tw_validate_again(const char *endpoint)
{
    struct stat st;
    if (strncmp(endpoint, "pipe:", 5) == 0)
        return true;
    return strcmp(endpoint, "-") != 0 && !tw_zmq_is(endpoint) && (stat(endpoint, &st) != 0 || S_ISREG(st.st_mode));
}

int tw_validate_first(tw_net *net, const tw_validation_options *o)
{
    tw_validation_options alone = *o;
    run r = {.net = net, .o = &alone};
    tw_view_batch *b;
    alone.B = 1;
    int rc = begin(&r) == 0 ? tw_views_next(r.views, &b) : -1;
    if (rc == 0)
        rc = none(&r);
    if (rc == 1 && take_label(&r, &b->sample[0], 0) != 0)
        rc = -1;
    tw_views_close(r.views);
    free(r.label);
    return rc < 0 && o->stop() ? 2 : rc;
}

int tw_validate(tw_validation *v, tw_net *net, const tw_validation_options *o)
{
    run r = {.net = net, .o = o};
    int rc = begin(&r) == 0 ? all_samples(&r) : -1;
    if (rc == 0)
        rc = r.samples > 0 ? 1 : none(&r);
    if (rc == 1)
        *v = (tw_validation){r.samples, r.loss / (double)r.samples, (double)r.hits[0] / (double)r.samples,
                             (double)r.hits[1] / (double)r.samples};
    tw_views_close(r.views);
    tw_plan_free(r.plan);
    free(r.label);
    return rc < 0 && o->stop() ? 2 : rc; /* the read failed because stop() ended the waiting */
}
