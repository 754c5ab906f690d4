#include "train/step.h"

#include "core/mem.h"
#include "train/buffers.h"
#include "train/device_step.h"
#include "train/labels.h"
#include "train/teacher.h"

#include <math.h>
#include <stdlib.h>

struct tw_step {
    tw_net *net;
    tw_optim *optim;
    tw_step_options o;
    tw_plan *plan;
    tw_teacher *teacher;   /* NULL: none */
    tw_buffers *buffers, *teacher_buffers;
    tw_device_step *device; /* does the step, instead of all members below; or NULL */
    tw_loss *loss;
    float *dlogits;
    int V, B, K;
};

tw_step *tw_step_new(tw_net *net, tw_net *teacher, tw_optim *optim, const tw_view_group *group, int n_groups, int B,
                     const tw_step_options *o)
{
    tw_step *s = tw_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (tw_step){.net = net, .optim = optim, .o = *o, .B = B, .K = tw_net_classes(net)};
    for (int i = 0; i < n_groups; i++)
        s->V += group[i].n_views;
    const bool device = tw_device_step_suits(net);
    if (!o->supervised && !device && (s->loss = tw_loss_new(&o->loss, s->V, B, s->K, tw_net_comm(net))) == NULL)
        goto err;
    s->buffers = tw_buffers_new(net);
    s->plan = tw_plan_new(net, group, n_groups, B, TW_PLAN_TRAIN);
    s->dlogits = device ? NULL : tw_alloc64((size_t)s->V * (size_t)B * (size_t)s->K * sizeof *s->dlogits);
    if (s->buffers == NULL || s->plan == NULL || (s->dlogits == NULL && !device))
        goto err;
    if (teacher != NULL) {
        s->teacher = tw_teacher_new(teacher, group, n_groups, B);
        s->teacher_buffers = tw_buffers_new(teacher);
        if (s->teacher == NULL || s->teacher_buffers == NULL)
            goto err;
    }
    if (device && (s->device = tw_device_step_new(net, s->plan, s->teacher, optim, group, n_groups, B, o)) == NULL)
        goto err;
    return s;
err:
    tw_step_free(s);
    return NULL;
}

void tw_step_free(tw_step *s)
{
    if (s == NULL)
        return;
    tw_device_step_free(s->device);
    tw_teacher_free(s->teacher);
    tw_buffers_free(s->teacher_buffers);
    tw_buffers_free(s->buffers);
    tw_plan_free(s->plan);
    tw_loss_free(s->loss);
    free(s->dlogits);
    free(s);
}

size_t tw_step_bytes(const tw_step *s)
{
    return tw_plan_bytes(s->plan) + (s->teacher != NULL ? tw_teacher_bytes(s->teacher) : 0);
}

static int keep(tw_step *s)
{
    if (tw_buffers_keep(s->buffers) != 0)
        return -1;
    return s->teacher != NULL ? tw_buffers_keep(s->teacher_buffers) : 0;
}

/* Runs both networks on the views. */
static int forward(tw_step *s, uint8_t *const *pictures, const tw_step_inputs *p)
{
    if (keep(s) != 0 || (s->teacher != NULL && tw_teacher_forward(s->teacher, pictures, p->number) != 0))
        return -1;
    return tw_plan_forward(s->plan, (const uint8_t *const *)pictures, s->B, p->number);
}

static int undo(tw_step *s)
{
    if (tw_buffers_restore(s->buffers) != 0)
        return -1;
    return s->teacher != NULL ? tw_buffers_restore(s->teacher_buffers) : 0;
}

/* For losses that each rank computes of its own batch: the loss of all is the mean over ranks, and so are the gradients. sum: summed over ranks. */
static int mean_of_ranks(const tw_step *s, double sum[3])
{
    tw_comm *comm = tw_net_comm(s->net);
    if (comm->ranks == 1)
        return 0;
    for (size_t i = 0; i < (size_t)s->V * (size_t)s->B * (size_t)s->K; i++)
        s->dlogits[i] /= (float)comm->ranks;
    return comm->sum_f64(comm, sum, 3);
}

static int cross_entropy(tw_step *s, tw_step_result *r, const float *logits, const int32_t *label)
{
    const double own = tw_loss_labels(s->dlogits, r->hits, logits, label, s->V, s->B, s->K);
    double sum[3] = {own, (double)r->hits[0], (double)r->hits[1]};
    if (mean_of_ranks(s, sum) != 0)
        return -1;
    r->terms = (tw_loss_terms){sum[0] / tw_net_comm(s->net)->ranks, NAN, NAN, NAN};
    r->hits[0] = (int64_t)sum[1];
    r->hits[1] = (int64_t)sum[2];
    return 0;
}

static int selflabel(tw_step *s, tw_step_result *r, const float *logits, const float *teacher, const tw_confidence *c)
{
    tw_selflabel_terms *t = &r->selflabel;
    if (tw_loss_selflabel(t, s->dlogits, logits, teacher, s->V, s->B, s->K, c) != 0)
        return -1;
    double sum[3] = {t->loss, t->threshold, t->selected};
    const int ranks = tw_net_comm(s->net)->ranks;
    if (mean_of_ranks(s, sum) != 0)
        return -1;
    *t = (tw_selflabel_terms){sum[0] / ranks, sum[1] / ranks, (int)sum[2]};
    r->terms = (tw_loss_terms){.loss = t->loss, .kl = NAN};
    return tw_loss_entropies(s->loss, &r->terms.eh, &r->terms.he, logits);
}

static int loss(tw_step *s, tw_step_result *r, const tw_step_inputs *p)
{
    const float *logits = tw_plan_logits(s->plan), *teacher = s->teacher != NULL ? tw_teacher_logits(s->teacher) : NULL;
    if (s->o.supervised)
        return cross_entropy(s, r, logits, p->label);
    if (p->self_label)
        return selflabel(s, r, logits, teacher, &p->confidence);
    return tw_loss_twist(s->loss, &r->terms, s->dlogits, logits, teacher);
}

/* Forward and loss; if the loss is finite, also the gradients and their norm. */
static int compute(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p)
{
    if (forward(s, pictures, p) != 0 || loss(s, r, p) != 0)
        return -1;
    if (!isfinite(r->terms.loss))
        return 0;
    if (tw_net_zero_grad(s->net) != 0 || tw_plan_backward(s->plan, s->dlogits) != 0)
        return -1;
    return tw_optim_gradient_norm(&r->gradient_norm, s->optim);
}

static int run_on_device(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p)
{
    if (keep(s) != 0)
        return -1;
    const int rc = tw_device_step_run(s->device, r, pictures, p);
    return rc >= 0 && (rc == 0 || r->skipped) && undo(s) != 0 ? -1 : rc;
}

int tw_step_run(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p)
{
    *r = (tw_step_result){.gradient_norm = NAN};
    if (s->device != NULL)
        return run_on_device(s, r, pictures, p);
    if (compute(s, r, pictures, p) != 0)
        return -1;
    if (!isfinite(r->gradient_norm))
        return undo(s);
    if (tw_optim_step(s->optim, p->lr, p->weight_decay, tw_clip(r->gradient_norm, s->o.clip_norm)) != 0)
        return -1;
    return s->teacher != NULL && tw_teacher_follow(s->teacher, s->net, p->momentum) != 0 ? -1 : 1;
}

void tw_step_renew(tw_step *s)
{
    if (s->device != NULL)
        tw_device_step_renew(s->device);
}

const tw_plan *tw_step_plan_of(const tw_step *s)
{
    return s->plan;
}

int tw_step_views(const tw_step *s)
{
    return s->V;
}
