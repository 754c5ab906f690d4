#include "train/teacher.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t OTHER_MASKS = 0x7465616368657221; /* changes the seed, so that its dropout masks differ from the student's */

struct tw_teacher {
    tw_net *net;
    tw_plan *plan;
    int B;
};

int tw_teacher_copy(tw_net *teacher, tw_net *student)
{
    const tw_backend *be = tw_net_backend(student);
    for (int i = 0; i < tw_net_params(student); i++) {
        const tw_param *p = tw_net_param(student, i), *to = tw_net_param(teacher, i);
        const size_t bytes = p->n * tw_dtype_size(p->dtype);
        if (p->device == NULL)
            memcpy(to->value, p->value, bytes);
        else if (TW_BACKEND(be, be->copy(tw_net_device(student), to->device, p->device, bytes)) != 0)
            return -1;
    }
    tw_net_changed(teacher);
    return 0;
}

tw_net *tw_teacher_net(const tw_net_config *c, tw_net *student)
{
    tw_net_config like = *c;
    like.beside = student;
    like.blank = true;
    like.seed ^= OTHER_MASKS;
    tw_net *net = tw_net_new(tw_net_backend(student)->name, &like);
    if (net == NULL || tw_teacher_copy(net, student) == 0)
        return net;
    tw_net_free(net);
    return NULL;
}

tw_teacher *tw_teacher_new(tw_net *net, const tw_view_group *group, int n_groups, int B)
{
    tw_view_group first[2];
    int n = 0;
    for (int views = 0; n < n_groups && views < 2; n++) { /* views 0 and 1: the first two of a group, or two groups of one view */
        first[n] = group[n];
        if (first[n].n_views > 2 - views)
            first[n].n_views = 2 - views;
        views += first[n].n_views;
    }
    tw_teacher *t = tw_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    *t = (tw_teacher){.net = net, .B = B, .plan = tw_plan_new(net, first, n, B, TW_PLAN_BATCH)};
    if (t->plan != NULL)
        return t;
    tw_teacher_free(t);
    return NULL;
}

void tw_teacher_free(tw_teacher *t)
{
    if (t == NULL)
        return;
    tw_plan_free(t->plan);
    free(t);
}

size_t tw_teacher_bytes(const tw_teacher *t)
{
    return tw_plan_bytes(t->plan);
}

int tw_teacher_forward(tw_teacher *t, uint8_t *const *pictures, int64_t step)
{
    return tw_plan_forward(t->plan, (const uint8_t *const *)pictures, t->B, step);
}

tw_plan *tw_teacher_plan(tw_teacher *t)
{
    return t->plan;
}

tw_net *tw_teacher_network(tw_teacher *t)
{
    return t->net;
}

const float *tw_teacher_logits(const tw_teacher *t)
{
    return tw_plan_logits(t->plan);
}

int tw_teacher_follow(tw_teacher *t, tw_net *student, double keep)
{
    const tw_backend *be = tw_net_backend(student);
    tw_dev *dev = tw_net_device(student);
    if (be->average == NULL)
        return tw_fail("a momentum encoder: not supported by device %s", be->name);
    be->enter(dev);
    for (int i = 0; i < tw_net_params(student); i++) {
        const tw_param *p = tw_net_param(student, i);
        if (p->trained && TW_BACKEND(be, be->average(dev, tw_net_param(t->net, i)->device, p->device, p->n, keep)) != 0)
            return -1;
    }
    tw_net_changed(t->net);
    return 0;
}
