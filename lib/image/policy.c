#include "image/policy.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>

const char *const tw_policy_names[] = {"barlow", "multicrop", "moco", "linear", "eval", NULL};

static const tw_view_kind plain = {
    .size = 224, .filter = TW_BICUBIC, .scale = {0.08, 1}, .late_scale = {0.08, 1}, .ratio = {3.0 / 4, 4.0 / 3}, .flip_p = 0.5,
};

/* Jitter, grey and sigma of barlow, multicrop. */
static tw_view_kind coloured(double low, double high, double blur_p, double solarize_p)
{
    tw_view_kind k = plain;
    k.scale[0] = k.late_scale[0] = low;
    k.scale[1] = k.late_scale[1] = high;
    k.jitter_p = 0.8;
    k.jitter[TW_BRIGHTNESS] = k.jitter[TW_CONTRAST] = 0.4;
    k.jitter[TW_SATURATION] = 0.2;
    k.jitter[TW_HUE] = 0.1;
    k.grey_p = 0.2;
    k.blur_p = blur_p;
    k.sigma[0] = 0.1;
    k.sigma[1] = 2;
    k.solarize_p = solarize_p;
    return k;
}

/* The two global views, then the local ones. */
static void multicrop(tw_policy *p)
{
    p->kind[0] = coloured(0.4, 1, 1, 0);
    p->kind[1] = coloured(0.4, 1, 0.1, 0.2);
    p->kind[0].late_scale[0] = p->kind[1].late_scale[0] = 0.14;
    for (int i = 2; i < p->n; i++) {
        p->kind[i] = coloured(0.05, 0.4, 0.5, 0);
        p->kind[i].late_scale[1] = 0.14;
        p->kind[i].size = 96;
    }
}

static void named(tw_policy *p, tw_policy_name name)
{
    switch (name) {
    case TW_BARLOW:
        p->kind[0] = coloured(0.08, 1, 1, 0);
        p->kind[1] = coloured(0.08, 1, 0.1, 0.2);
        break;
    case TW_MULTICROP:
        multicrop(p);
        break;
    case TW_MOCO:
        p->kind[0] = coloured(0.2, 1, 0.5, 0);
        p->kind[0].jitter[TW_SATURATION] = 0.4;
        p->kind[1] = p->kind[0];
        break;
    case TW_EVAL:
    case TW_LINEAR:
        p->kind[0] = plain;
        p->kind[0].filter = TW_BILINEAR;
    }
}

static void set_scale(double scale[2], double late[2], double low, double high)
{
    if (low >= 0)
        scale[0] = late[0] = low;
    if (high >= 0)
        scale[1] = late[1] = high;
}

static int override(tw_view_kind *k, const tw_policy_options *o, bool local)
{
    const int size = local ? o->local_size : o->size;
    if (size > 0)
        k->size = size;
    if (o->filter >= 0)
        k->filter = (tw_filter)o->filter;
    if (o->name == TW_EVAL)
        k->resize = o->resize > 0 ? o->resize : k->size * 256 / 224;
    set_scale(k->scale, k->late_scale, local ? o->min2 : o->min1, local ? o->max2 : o->max1);
    if (!(k->scale[0] > 0 && k->scale[0] <= k->scale[1] && k->scale[1] <= 1))
        return tw_fail("crops of %g to %g of a picture: wanted is 0 < min <= max <= 1", k->scale[0], k->scale[1]);
    if (o->name == TW_EVAL || o->name == TW_LINEAR)
        return 0;
    k->blur_p = o->blur_p >= 0 ? o->blur_p : k->blur_p;
    k->solarize_p = o->solarize_p >= 0 ? o->solarize_p : k->solarize_p;
    k->jitter_p = o->jitter_p >= 0 ? o->jitter_p : k->jitter_p;
    k->grey_p = o->grey_p >= 0 ? o->grey_p : k->grey_p;
    return 0;
}

int tw_policy_init(tw_policy *p, const tw_policy_options *o)
{
    const int locals = o->name != TW_MULTICROP ? 0 : o->locals >= 0 ? o->locals : 12;
    p->n = (o->name == TW_LINEAR || o->name == TW_EVAL ? 1 : 2) + locals;
    p->late_epoch = o->late_epoch;
    p->kind = tw_calloc((size_t)p->n, sizeof *p->kind);
    if (p->kind == NULL)
        return -1;
    named(p, o->name);
    for (int i = 0; i < p->n; i++)
        if (override(&p->kind[i], o, i >= p->n - locals) != 0) {
            tw_policy_fini(p);
            return -1;
        }
    return 0;
}

void tw_policy_fini(tw_policy *p)
{
    free(p->kind);
    *p = (tw_policy){0};
}
