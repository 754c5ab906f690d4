#include "image/policy.h"

#include "core/error.h"
#include "core/mem.h"
#include "image/blur.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const tw_policy_names[] = {"barlow", "multicrop", "moco", "rand", "linear", "eval", NULL};

const tw_view_kind tw_plain_view = {
    .size = 224, .filter = TW_BICUBIC, .scale = {0.08, 1}, .late_scale = {0.08, 1}, .ratio = {3.0 / 4, 4.0 / 3}, .sigma = {0.1, 2},
};

/* A random crop and flip. */
static tw_view_kind plain(void)
{
    tw_view_kind k = tw_plain_view;
    k.flip_p = 0.5;
    return k;
}

/* A view with the jitter, grey and blur of barlow and multicrop; low, high: scale. */
static tw_view_kind coloured(double low, double high, double blur_p, double solarize_p)
{
    tw_view_kind k = plain();
    k.scale[0] = k.late_scale[0] = low;
    k.scale[1] = k.late_scale[1] = high;
    k.jitter_p = 0.8;
    k.jitter[TW_BRIGHTNESS] = k.jitter[TW_CONTRAST] = 0.4;
    k.jitter[TW_SATURATION] = 0.2;
    k.jitter[TW_HUE] = 0.1;
    k.grey_p = 0.2;
    k.blur_p = blur_p;
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
    case TW_RAND: /* timm's rand-m9-mstd0.5-inc1 */
        p->kind[0] = plain();
        p->kind[0].layers = 2;
        p->kind[0].layer_p = 0.5;
        p->kind[0].magnitude = 9;
        p->kind[0].deviation = 0.5;
        p->kind[0].erase_p = 0.25;
        p->kind[1] = p->kind[0];
        break;
    case TW_EVAL:
    case TW_LINEAR:
        p->kind[0] = plain();
        p->kind[0].filter = TW_BILINEAR;
    }
}

static int check_range(const double r[2], double low, double high, const char *what)
{
    if (r[0] >= low && r[0] <= r[1] && r[1] <= high)
        return 0;
    return tw_fail("%s of %g to %g: the first must not be above the second, and both within %g to %g", what, r[0], r[1], low, high);
}

int tw_view_kind_check(const tw_view_kind *k)
{
    const double p[] = {k->flip_p, k->layer_p, k->jitter_p, k->grey_p, k->blur_p, k->solarize_p, k->erase_p};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        if (!(p[i] >= 0 && p[i] <= 1))
            return tw_fail("a probability of %g is not within 0 to 1", p[i]);
    for (int i = 0; i < 4; i++) {
        const double most = i == TW_HUE ? 0.5 : 10;
        if (!(k->jitter[i] >= 0 && k->jitter[i] <= most))
            return tw_fail("%s of %g is not within 0 to %g", tw_step_names[i], k->jitter[i], most);
    }
    if (k->size < 1 || k->size > TW_MAX_SIZE)
        return tw_fail("a view of %d px: views have 1 to %d", k->size, TW_MAX_SIZE);
    if (k->resize < 0 || k->resize > 2 * TW_MAX_SIZE)
        return tw_fail("a short side of %d px: at most %d", k->resize, 2 * TW_MAX_SIZE);
    if (k->layers < 0 || k->layers > TW_MAX_LAYERS || !(k->magnitude >= 0 && k->magnitude <= 10 && k->deviation >= 0))
        return tw_fail("%d layers of magnitude %g, deviation %g: at most %d, of 0 to 10, of 0 or more", k->layers, k->magnitude,
                       k->deviation, TW_MAX_LAYERS);
    if (check_range(k->scale, 1e-6, 1, "crops") != 0 || check_range(k->late_scale, 1e-6, 1, "late crops") != 0 ||
        check_range(k->ratio, 0.01, 100, "ratios") != 0)
        return -1;
    return check_range(k->sigma, 0, TW_MAX_SIGMA, "sigmas");
}

/* Overrides the scale by --min1 and --max1 (which 1), or 2: before late_epoch if the scale changes there, else in every epoch. 0, or -1. */
static int set_scale(tw_view_kind *k, double low, double high, int which)
{
    char min[32] = "", max[32] = "";
    const bool hardens = k->late_scale[0] != k->scale[0] || k->late_scale[1] != k->scale[1];
    if (low >= 0)
        k->scale[0] = low;
    if (high >= 0)
        k->scale[1] = high;
    if (!hardens)
        memcpy(k->late_scale, k->scale, sizeof k->scale);
    if (check_range(k->scale, 1e-6, 1, "crops") == 0)
        return 0;
    if (low >= 0)
        snprintf(min, sizeof min, "--min%d=%g", which, low);
    if (high >= 0)
        snprintf(max, sizeof max, "%s--max%d=%g", low >= 0 ? " " : "", which, high);
    return tw_fail("%s%s: %s", min, max, tw_error());
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
    if (set_scale(k, local ? o->min2 : o->min1, local ? o->max2 : o->max1, local ? 2 : 1) != 0)
        return -1;
    if (o->name == TW_EVAL || o->name == TW_LINEAR)
        return tw_view_kind_check(k);
    k->blur_p = o->blur_p >= 0 ? o->blur_p : k->blur_p;
    k->solarize_p = o->solarize_p >= 0 ? o->solarize_p : k->solarize_p;
    k->jitter_p = o->jitter_p >= 0 ? o->jitter_p : k->jitter_p;
    k->grey_p = o->grey_p >= 0 ? o->grey_p : k->grey_p;
    if (o->name == TW_RAND && k->jitter_p > 0 && k->jitter[0] == 0)
        memcpy(k->jitter, (const double[]){0.4, 0.4, 0.4, 0}, sizeof k->jitter); /* timm's 0.4, if jitter is added to RandAugment */
    return tw_view_kind_check(k);
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
