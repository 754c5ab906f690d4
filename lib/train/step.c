#include "train/step.h"

#include "core/error.h"
#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tw_step {
    tw_net *net;
    tw_optim *optim;
    tw_step_options o;
    tw_plan *plan;
    tw_loss *loss;
    float *dlogits;
    void *buffers;          /* the net's running statistics before the step, in device memory */
    int64_t *counts;        /* and what it counts, in host memory */
    int V, B, K;
};

/* Copies the buffers (what is not trained) to the step's memory, or back. 0, or -1 and tw_error(). */
static int keep_buffers(tw_step *s, bool back)
{
    const tw_backend *be = tw_net_backend(s->net);
    float *at = s->buffers;
    int64_t *count = s->counts;
    for (int i = 0; i < tw_net_params(s->net); i++) {
        tw_param *p = tw_net_param(s->net, i);
        if (p->trained)
            continue;
        if (p->device == NULL) {
            int64_t *value = p->value;
            *(back ? value : count) = *(back ? count : value);
            count++;
            continue;
        }
        if (TW_BACKEND(be, be->copy(tw_net_device(s->net), back ? p->device : at, back ? at : p->device, p->n * sizeof *at)) != 0)
            return -1;
        at += p->n;
    }
    return 0;
}

/* 0, or -1 and tw_error(). */
static int make_buffers(tw_step *s)
{
    const tw_backend *be = tw_net_backend(s->net);
    size_t floats = 0, counts = 0;
    for (int i = 0; i < tw_net_params(s->net); i++) {
        const tw_param *p = tw_net_param(s->net, i);
        floats += !p->trained && p->device != NULL ? p->n : 0;
        counts += !p->trained && p->device == NULL;
    }
    s->counts = tw_calloc(counts, sizeof *s->counts);
    s->buffers = be->alloc(tw_net_device(s->net), floats * sizeof(float));
    return s->counts == NULL ? -1 : s->buffers == NULL ? tw_backend_failed(be) : 0;
}

tw_step *tw_step_new(tw_net *net, tw_optim *optim, const tw_view_group *group, int n_groups, int B, const tw_step_options *o)
{
    tw_step *s = tw_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (tw_step){.net = net, .optim = optim, .o = *o, .B = B, .K = tw_net_classes(net)};
    for (int i = 0; i < n_groups; i++)
        s->V += group[i].n_views;
    s->loss = tw_loss_new(&o->loss, s->V, B, s->K, tw_net_comm(net));
    s->plan = s->loss == NULL ? NULL : tw_plan_new(net, group, n_groups, B, TW_PLAN_TRAIN);
    s->dlogits = tw_alloc64((size_t)s->V * (size_t)B * (size_t)s->K * sizeof *s->dlogits);
    if (s->plan != NULL && s->dlogits != NULL && make_buffers(s) == 0)
        return s;
    tw_step_free(s);
    return NULL;
}

void tw_step_free(tw_step *s)
{
    if (s == NULL)
        return;
    tw_plan_free(s->plan);
    tw_loss_free(s->loss);
    free(s->dlogits);
    tw_net_backend(s->net)->release(tw_net_device(s->net), s->buffers);
    free(s->counts);
    free(s);
}

static int loss(tw_step *s, tw_step_result *r, const tw_step_plan *p)
{
    const float *logits = tw_plan_logits(s->plan);
    if (!p->self_label)
        return tw_loss_twist(s->loss, &r->terms, s->dlogits, logits);
    if (tw_loss_selflabel(&r->selflabel, s->dlogits, logits, s->V, s->B, s->K, &p->confidence) != 0)
        return -1;
    r->terms = (tw_loss_terms){r->selflabel.loss, NAN, NAN, NAN};
    return 0;
}

int tw_step_run(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_plan *p)
{
    *r = (tw_step_result){.gradient_norm = NAN};
    if (keep_buffers(s, false) != 0 || tw_plan_forward(s->plan, (const uint8_t *const *)pictures, s->B, p->number) != 0 || loss(s, r, p) != 0)
        return -1;
    if (isfinite(r->terms.loss)) {
        if (tw_net_zero_grad(s->net) != 0 || tw_plan_backward(s->plan, s->dlogits) != 0 || tw_optim_gradient_norm(&r->gradient_norm, s->optim) != 0)
            return -1;
    }
    if (!isfinite(r->gradient_norm))
        return keep_buffers(s, true);
    return tw_optim_step(s->optim, p->lr, p->weight_decay, tw_clip(r->gradient_norm, s->o.clip_norm)) == 0 ? 1 : -1;
}

const tw_plan *tw_step_plan_of(const tw_step *s)
{
    return s->plan;
}

int tw_step_views(const tw_step *s)
{
    return s->V;
}
