#include "train/optim.h"

#include "core/mem.h"
#include "nn/formula.h"

#include <math.h>
#include <stdlib.h>

const char *const tw_optim_names[] = {"lars", "sgd", "admw", NULL};

enum { MOST_STATES = 2 };
static const double MOMENTUM = 0.9, BETA1 = 0.9, BETA2 = 0.999, EPS = 1e-8, UNKNOWN = -1;

struct tw_optim {
    tw_net *net;
    const tw_backend *be;
    tw_dev *dev;
    tw_optim_kind kind;
    int64_t steps;
    size_t bytes;
    float *block, *host;         /* all states in device memory, in host memory; the same block with unified memory */
    struct slot {
        tw_param *param;
        float *state[MOST_STATES];
        double rate;             /* factor of the step's learning rate */
        bool decayed;
        double gradient;         /* norm of its gradient, from tw_optim_gradient_norm until the step; else UNKNOWN */
    } *slot;                     /* one per trained tensor */
    int n;
};

static int states_each(const tw_optim *o)
{
    return o->kind == TW_ADAMW ? 2 : 1;
}

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

tw_optim *tw_optim_new(tw_net *net, tw_optim_kind kind, double lr_wbr)
{
    tw_optim *o = tw_calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    *o = (tw_optim){.net = net, .be = tw_net_backend(net), .dev = tw_net_device(net), .kind = kind};
    o->slot = tw_calloc((size_t)tw_net_params(net), sizeof *o->slot);
    if (o->slot == NULL)
        goto err;
    size_t floats = 0;
    for (int i = 0; i < tw_net_params(net); i++) {
        tw_param *p = tw_net_param(net, i);
        if (!p->trained)
            continue;
        o->slot[o->n++] = (struct slot){.param = p, .rate = p->decayed ? 1 : 1 / lr_wbr, .decayed = p->decayed, .gradient = UNKNOWN};
        floats += padded(p->n) * (size_t)states_each(o);
    }
    o->bytes = floats * sizeof *o->block;
    o->block = o->be->alloc(o->dev, o->bytes);
    if (o->block == NULL) {
        tw_backend_failed(o->be);
        goto err;
    }
    o->host = o->be->unified ? o->block : tw_calloc(1, o->bytes);
    if (o->host == NULL)
        goto err;
    float *next = o->block;
    for (int i = 0; i < o->n; i++)
        for (int k = 0; k < states_each(o); k++) {
            o->slot[i].state[k] = next;
            next += padded(o->slot[i].param->n);
        }
    return o;
err:
    tw_optim_free(o);
    return NULL;
}

void tw_optim_free(tw_optim *o)
{
    if (o == NULL)
        return;
    if (!o->be->unified)
        free(o->host);
    o->be->release(o->dev, o->block);
    free(o->slot);
    free(o);
}

void tw_optim_rule(tw_optim *o, int i, double rate, bool decayed)
{
    for (int k = 0; k < o->n; k++)
        if (o->slot[k].param == tw_net_param(o->net, i)) {
            o->slot[k].rate = rate;
            o->slot[k].decayed = decayed;
        }
}

int tw_optim_table(const tw_optim *o, tw_learn_tensor *t)
{
    for (int i = 0; i < o->n; i++) {
        const struct slot *s = &o->slot[i];
        t[i] = (tw_learn_tensor){.w = s->param->device, .g = s->param->grad, .state = {s->state[0], s->state[1]}, .n = s->param->n,
                                 .rate = s->rate, .decayed = s->decayed};
    }
    return o->n;
}

tw_optim_kind tw_optim_kind_of(const tw_optim *o)
{
    return o->kind;
}

void tw_optim_took(tw_optim *o)
{
    o->steps++;
    tw_net_changed(o->net);
}

static int norm_of(tw_optim *o, double *norm, const float *x, size_t n)
{
    double square;
    if (TW_BACKEND(o->be, o->be->sum_squares(o->dev, &square, x, n)) != 0)
        return -1;
    *norm = sqrt(square);
    return 0;
}

int tw_optim_gradient_norm(double *norm, tw_optim *o)
{
    double total = 0, one;
    o->be->enter(o->dev);
    if (o->kind != TW_LARS) {
        size_t n;
        const float *all = tw_net_gradients(o->net, &n);
        return norm_of(o, norm, all, n);
    }
    for (int i = 0; i < o->n; i++) {
        if (norm_of(o, &one, o->slot[i].param->grad, o->slot[i].param->n) != 0)
            return -1;
        o->slot[i].gradient = one;
        total += one * one;
    }
    *norm = sqrt(total);
    return 0;
}

double tw_clip(double norm, double max)
{
    const double factor = max / (norm + 1e-6);
    return max > 0 && factor < 1 ? factor : 1;
}

static int step_adamw(tw_optim *o, struct slot *s, double lr, double decay, double clip)
{
    const double t = (double)o->steps;
    const tw_adamw k = {.grad = (float)clip, .decay_factor = (float)(1 - lr * decay), .beta1 = (float)BETA1, .beta2 = (float)BETA2,
                        .eps = (float)EPS, .rate = (float)(lr / (1 - pow(BETA1, t))), .root = (float)sqrt(1 - pow(BETA2, t))};
    tw_param *p = s->param;
    return TW_BACKEND(o->be, o->be->step_adamw(o->dev, p->device, s->state[0], s->state[1], p->grad, p->n, &k));
}

static int local_rate(tw_optim *o, const struct slot *s, double *decay, double clip, double *local)
{
    const tw_param *p = s->param;
    double w, g = s->gradient;
    if (norm_of(o, &w, p->device, p->n) != 0 || (g < 0 && norm_of(o, &g, p->grad, p->n) != 0))
        return -1;
    *local = tw_lars_rate(w, clip * g, decay);
    return 0;
}

static int step_momentum(tw_optim *o, struct slot *s, double lr, double decay, double clip)
{
    tw_param *p = s->param;
    double into = 1, out = lr;
    if (o->kind == TW_LARS) {
        double local = 1;
        if (s->decayed && local_rate(o, s, &decay, clip, &local) != 0)
            return -1;
        into = lr * local;
        out = 1;
    }
    const tw_momentum k = {(float)clip, (float)decay, (float)MOMENTUM, (float)into, (float)out};
    return TW_BACKEND(o->be, o->be->step_momentum(o->dev, p->device, s->state[0], p->grad, p->n, &k));
}

int tw_optim_step(tw_optim *o, double lr, double weight_decay, double clip)
{
    o->be->enter(o->dev);
    o->steps++;
    for (int i = 0; i < o->n; i++) {
        struct slot *s = &o->slot[i];
        const double rate = lr * s->rate, decay = s->decayed ? weight_decay : 0;
        if ((o->kind == TW_ADAMW ? step_adamw : step_momentum)(o, s, rate, decay, clip) != 0)
            return -1;
        s->gradient = UNKNOWN;
    }
    tw_net_changed(o->net);
    return 0;
}

int tw_optim_states(const tw_optim *o)
{
    return o->n * states_each(o);
}

tw_optim_state tw_optim_state_at(const tw_optim *o, int i)
{
    static const char *const adam[] = {"exp_avg", "exp_avg_sq"};
    const int each = states_each(o), k = i % each;
    const struct slot *s = &o->slot[i / each];
    return (tw_optim_state){each == 2 ? adam[k] : "momentum", s->param, o->host + (s->state[k] - o->block)};
}

int tw_optim_download(tw_optim *o)
{
    return o->be->unified ? 0 : TW_BACKEND(o->be, o->be->download(o->dev, o->host, o->block, o->bytes));
}

int tw_optim_upload(tw_optim *o)
{
    return o->be->unified ? 0 : TW_BACKEND(o->be, o->be->upload(o->dev, o->block, o->host, o->bytes));
}

int64_t tw_optim_steps(const tw_optim *o)
{
    return o->steps;
}

void tw_optim_set_steps(tw_optim *o, int64_t steps)
{
    o->steps = steps;
}
