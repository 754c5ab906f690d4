#include "train/device_step.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PINNED = 32 };
static const double LEAST_SCALE = 1.0 / 32768; /* at this loss scale or less, an overflow is not the scale's fault */

struct tw_device_step {
    tw_net *net;
    const tw_backend *be;
    tw_dev *dev;
    tw_plan *plan;
    tw_teacher *teacher;
    tw_optim *optim;
    tw_learn *learn;
    int B;
    bool supervised;
    bool warm[2];      /* a step of that kind (TWIST loss, self-labeling) has run call by call */
    bool bare;         /* recording is not possible: all steps run call by call */
    bool renew[4];     /* indexed by number_of: to be recorded anew */
    tw_spread spread;
    int32_t *largest;
    size_t *bytes;     /* of each group's pictures */
    int n_groups;
    void *pinned[MOST_PINNED];
    int n_pinned;
};

bool tw_device_step_suits(tw_net *net)
{
    return tw_net_backend(net)->learn_new != NULL;
}

/* The optimizer's table with the teacher's tensors added. Free with free(). NULL and tw_error(). */
static tw_learn_tensor *table(const tw_device_step *d, int *n)
{
    tw_learn_tensor *t = tw_calloc((size_t)tw_net_params(d->net), sizeof *t);
    if (t == NULL)
        return NULL;
    *n = tw_optim_table(d->optim, t);
    for (int i = 0, at = 0; d->teacher != NULL && i < tw_net_params(d->net); i++)
        if (tw_net_param(d->net, i)->trained)
            t[at++].teacher = tw_net_param(tw_teacher_network(d->teacher), i)->device;
    return t;
}

static int open_learn(tw_device_step *d, int V, int B, const tw_step_options *o)
{
    static const tw_learn_optim optim[] = {[TW_LARS] = TW_LEARN_LARS, [TW_SGD] = TW_LEARN_SGD, [TW_ADAMW] = TW_LEARN_ADAMW};
    tw_learn_config c = {.V = V, .B = B, .K = tw_net_classes(d->net), .ranks = tw_net_comm(d->net)->ranks,
                         .peers = tw_net_peers(d->net), .patience = o->patience, .lam1 = o->loss.lam1, .lam2 = o->loss.lam2,
                         .tau = o->loss.tau, .supervised = o->supervised, .clip_norm = o->clip_norm, .optim = optim[tw_optim_kind_of(d->optim)],
                         .first = o->first};
    tw_learn_tensor *t = table(d, &c.tensors);
    if (t == NULL)
        return -1;
    c.tensor = t;
    d->be->enter(d->dev);
    d->learn = d->be->learn_new(d->dev, &c);
    free(t);
    return d->learn != NULL ? 0 : tw_backend_failed(d->be);
}

tw_device_step *tw_device_step_new(tw_net *net, tw_plan *plan, tw_teacher *teacher, tw_optim *optim, const tw_view_group *group, int n_groups,
                                   int B, const tw_step_options *o)
{
    tw_device_step *d = tw_calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    *d = (tw_device_step){.net = net, .be = tw_net_backend(net), .dev = tw_net_device(net), .plan = plan, .teacher = teacher, .optim = optim,
                          .n_groups = n_groups, .B = B, .supervised = o->supervised};
    d->largest = tw_calloc(2 * (size_t)B, sizeof *d->largest);
    d->bytes = tw_calloc((size_t)n_groups, sizeof *d->bytes);
    int V = 0;
    for (int i = 0; d->bytes != NULL && i < n_groups; i++) {
        V += group[i].n_views;
        d->bytes[i] = (size_t)group[i].n_views * (size_t)B * (size_t)group[i].H * (size_t)group[i].W * 3;
    }
    if (d->largest != NULL && d->bytes != NULL && open_learn(d, V, B, o) == 0)
        return d;
    tw_device_step_free(d);
    return NULL;
}

void tw_device_step_free(tw_device_step *d)
{
    if (d == NULL)
        return;
    if (d->learn != NULL)
        d->be->learn_free(d->learn);
    for (int i = 0; i < d->n_pinned; i++)
        d->be->unpin(d->dev, d->pinned[i]);
    free(d->largest);
    free(d->bytes);
    free(d);
}

/* Pins the pictures' memory when first seen: the loader reuses a few blocks. */
static bool pinned(tw_device_step *d, uint8_t *const *pictures)
{
    for (int i = 0; i < d->n_groups; i++) {
        int k = 0;
        while (k < d->n_pinned && d->pinned[k] != pictures[i])
            k++;
        if (k < d->n_pinned)
            continue;
        if (k == MOST_PINNED || d->be->pin(d->dev, pictures[i], d->bytes[i]) != 0)
            return false;
        d->pinned[d->n_pinned++] = pictures[i];
    }
    return true;
}

/* Uploads the next step's views, if ready, while the device works. */
static int load_ahead(tw_device_step *d, uint8_t *const *pictures)
{
    const uint8_t *const *views = (const uint8_t *const *)pictures;
    if (pictures == NULL || !pinned(d, pictures))
        return 0;
    if (tw_plan_load_ahead(d->plan, views) != 0)
        return -1;
    return d->teacher == NULL ? 0 : tw_plan_load_ahead(tw_teacher_plan(d->teacher), views);
}

static int load(tw_device_step *d, uint8_t *const *pictures)
{
    const uint8_t *const *views = (const uint8_t *const *)pictures;
    const bool fast = pinned(d, pictures);
    if (tw_plan_load(d->plan, views, d->B, fast) != 0)
        return -1;
    return d->teacher == NULL ? 0 : tw_plan_load(tw_teacher_plan(d->teacher), views, d->B, fast);
}

/* Queues a whole step, from the views on the device to the new weights. */
static int compute(tw_device_step *d, bool self_label)
{
    const void *teacher = NULL;
    if (d->teacher != NULL) {
        if (tw_plan_run(tw_teacher_plan(d->teacher)) != 0)
            return -1;
        teacher = tw_plan_device_logits(tw_teacher_plan(d->teacher));
    }
    if (tw_plan_run(d->plan) != 0 ||
        TW_BACKEND(d->be, d->be->learn_loss(d->learn, tw_plan_device_gradient(d->plan), tw_plan_device_logits(d->plan),
                                            tw_plan_device_raw_logits(d->plan), teacher, self_label)) != 0)
        return -1;
    if (tw_net_zero_grad(d->net) != 0 || tw_plan_backward(d->plan, NULL) != 0)
        return -1;
    return TW_BACKEND(d->be, d->be->learn_update(d->learn));
}

/* The number of a record: one for each kind of step and each of the two buffers of views. */
static int number_of(const tw_device_step *d, bool self_label)
{
    return self_label + 2 * tw_plan_turn(d->plan);
}

/* Sets *it on all ranks if it is set on any of them. */
static int anywhere(tw_device_step *d, bool *it)
{
    tw_comm *comm = tw_net_comm(d->net);
    double where = *it;
    if (comm->sum_f64(comm, &where, 1) != 0)
        return -1;
    *it = where > 0;
    return 0;
}

/* Tells the networks that their weights have changed. */
static void changed(tw_device_step *d)
{
    tw_net_changed(d->net);
    if (d->teacher != NULL)
        tw_net_changed(tw_teacher_network(d->teacher));
}

/* Records compute() anew. If a device refuses, all ranks run their steps call by call from now on. 0, or -1 and tw_error(). */
static int record(tw_device_step *d, bool self_label)
{
    const int i = number_of(d, self_label);
    d->renew[i] = false;
    changed(d); /* so that the refresh of the weights is recorded: a replayed step needs it */
    d->bare = TW_BACKEND(d->be, d->be->learn_record(d->learn, i, true)) != 0;
    if (!d->bare) {
        const int rc = compute(d, self_label);
        d->bare = TW_BACKEND(d->be, d->be->learn_record(d->learn, i, false)) != 0 || rc != 0;
    }
    if (d->bare)
        tw_warn("a training step cannot be captured as a graph, its calls are launched one by one: %s", tw_error());
    if (anywhere(d, &d->bare) != 0)
        return -1;
    if (d->bare)
        changed(d); /* recording did not run the refresh */
    return 0;
}

static int run(tw_device_step *d, bool self_label)
{
    if (d->warm[self_label] && !d->bare) {
        int rc = d->renew[number_of(d, self_label)] ? 0 : d->be->learn_play(d->learn, number_of(d, self_label));
        if (rc == 0) {
            if (record(d, self_label) != 0)
                return -1;
            rc = d->bare ? 0 : d->be->learn_play(d->learn, number_of(d, self_label));
        }
        if (rc != 0)
            return rc > 0 ? 0 : tw_backend_failed(d->be);
    }
    d->warm[self_label] = true;
    return compute(d, self_label);
}

void tw_device_step_renew(tw_device_step *d)
{
    for (size_t i = 0; i < sizeof d->renew / sizeof *d->renew; i++)
        d->renew[i] = true;
}

static void count(tw_device_step *d)
{
    tw_plan_count(d->plan);
    if (d->teacher != NULL)
        tw_plan_count(tw_teacher_plan(d->teacher));
}

static void tell(tw_device_step *d, tw_step_result *r, const tw_learn_results *got, bool self_label)
{
    r->terms = (tw_loss_terms){got->loss, got->kl, got->eh, got->he};
    if (self_label)
        r->selflabel = (tw_selflabel_terms){got->loss, got->threshold, (int)got->selected};
    r->gradient_norm = got->gradient_norm;
    if (tw_net_precision(d->net) == TW_F16)
        r->next = got->next;
    memcpy(r->hits, got->hits, sizeof r->hits);
    if (d->supervised)
        return;
    d->spread = (tw_spread){got->raw_column_std, got->raw_row_std, got->column_std, got->row_std};
    r->spread = &d->spread;
    r->largest = d->largest;
}

int tw_device_step_run(tw_device_step *d, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p)
{
    const tw_learn_numbers numbers = {.number = p->number, .adam = tw_optim_steps(d->optim) + 1, .lr = p->lr,
                                      .weight_decay = p->weight_decay, .quantile = p->confidence.quantile,
                                      .threshold = p->confidence.threshold, .keep = p->momentum};
    tw_learn_results got;
    d->be->enter(d->dev);
    count(d);
    if (TW_BACKEND(d->be, d->be->learn_begin(d->learn, &numbers)) != 0 ||
        (d->supervised && TW_BACKEND(d->be, d->be->learn_labels(d->learn, p->label)) != 0) || load(d, pictures) != 0 || run(d, p->self_label) != 0 ||
        load_ahead(d, p->ahead) != 0 ||
        TW_BACKEND(d->be, d->be->learn_results(d->learn, &got, d->largest)) != 0)
        return -1;
    tell(d, r, &got, p->self_label);
    if (!got.taken) {
        r->skipped = tw_net_precision(d->net) == TW_F16 && isfinite(got.loss) && got.scale > LEAST_SCALE;
        return r->skipped ? 1 : 0;
    }
    tw_optim_took(d->optim);
    if (d->teacher != NULL)
        tw_net_changed(tw_teacher_network(d->teacher));
    return 1;
}
