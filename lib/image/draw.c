#include "image/policy.h"

#include "core/error.h"

#include <math.h>

/* Python's round(): ties to even, as rint in the default rounding mode. */
static int round_even(double x)
{
    return (int)rint(x);
}

static int at_least_1(int n)
{
    return n > 1 ? n : 1;
}

/* RandomResizedCrop.get_params. Fallback after ten tries: the largest central crop within the bounds of the ratio. */
static tw_area draw_crop(const double scale[2], const double ratio[2], int w, int h, tw_rng *r)
{
    const double low = log(ratio[0]), high = log(ratio[1]);
    for (int i = 0; i < 10; i++) {
        const double area = (double)w * h * tw_rng_between(r, scale[0], scale[1]);
        const double shape = exp(tw_rng_between(r, low, high));
        const int cw = round_even(sqrt(area * shape)), ch = round_even(sqrt(area / shape));
        if (cw > 0 && cw <= w && ch > 0 && ch <= h) {
            const int top = (int)tw_rng_below(r, (uint64_t)(h - ch) + 1), left = (int)tw_rng_below(r, (uint64_t)(w - cw) + 1);
            return (tw_area){top, left, ch, cw};
        }
    }
    const double shape = (double)w / h;
    int cw = w, ch = h;
    if (shape < ratio[0])
        ch = at_least_1(round_even(w / ratio[0]));
    else if (shape > ratio[1])
        cw = at_least_1(round_even(h * ratio[1]));
    return (tw_area){(h - ch) / 2, (w - cw) / 2, ch, cw};
}

/* ColorJitter: in random order, each factor uniform around 1 (hue: 0), rounded to single precision as in torch; steps with amount 0 are left
 * out. */
static void draw_jitter(tw_view *v, const double amount[4], tw_rng *r)
{
    uint64_t order[4];
    double value[4];
    tw_rng_permutation(r, order, 4);
    for (int i = 0; i < 4; i++) {
        const double centre = i == TW_HUE ? 0 : 1, low = centre - amount[i];
        value[i] = (double)(float)tw_rng_between(r, i != TW_HUE && low < 0 ? 0 : low, centre + amount[i]);
    }
    for (int i = 0; i < 4; i++)
        if (amount[order[i]] > 0)
            v->step[v->n_steps++] = (tw_step){(tw_step_kind)order[i], value[order[i]]};
}

/* value with a random sign. */
static double either_way(tw_rng *r, double value)
{
    return tw_rng_uniform(r) > 0.5 ? -value : value;
}

/* The value of a RandAugment operation at a level of 0 to 10: timm's "increasing" functions. */
static double strength(tw_step_kind kind, double level, tw_rng *r)
{
    const double part = level / 10;
    switch (kind) {
    case TW_ROTATE:
        return either_way(r, part * 30);
    case TW_POSTERIZE:
        return 4 - (int)(part * 4);
    case TW_SOLARIZE:
        return 256 - (part * 256 < 256 ? (int)(part * 256) : 256);
    case TW_SOLARIZE_ADD:
        return part * 110 < 128 ? (int)(part * 110) : 128;
    case TW_BRIGHTNESS:
    case TW_CONTRAST:
    case TW_SATURATION:
    case TW_SHARPNESS:
        return fmax(0.1, 1 + either_way(r, part * 0.9));
    case TW_SHEAR_X:
    case TW_SHEAR_Y:
        return either_way(r, part * 0.3);
    case TW_TRANSLATE_X:
    case TW_TRANSLATE_Y:
        return either_way(r, part * 0.45);
    default:
        return 0;
    }
}

/* RandAugment: k->layers operations drawn with replacement, each applied with probability layer_p. */
static void draw_layers(tw_view *v, const tw_view_kind *k, tw_rng *r)
{
    static const tw_step_kind choice[] = {TW_AUTOCONTRAST, TW_EQUALIZE,   TW_INVERT,     TW_ROTATE,      TW_POSTERIZE,
                                          TW_SOLARIZE,     TW_SOLARIZE_ADD, TW_SATURATION, TW_CONTRAST,  TW_BRIGHTNESS,
                                          TW_SHARPNESS,    TW_SHEAR_X,    TW_SHEAR_Y,    TW_TRANSLATE_X, TW_TRANSLATE_Y};
    for (int i = 0; i < k->layers; i++) {
        const tw_step_kind kind = choice[tw_rng_below(r, sizeof choice / sizeof *choice)];
        if (tw_rng_uniform(r) >= k->layer_p)
            continue;
        const double level = k->magnitude + k->deviation * tw_rng_normal(r);
        v->step[v->n_steps++] = (tw_step){kind, strength(kind, level < 0 ? 0 : level > 10 ? 10 : level, r)};
    }
}

/* RandomErasing: up to ten tries to draw a rectangle smaller than the view. */
static void draw_erased(tw_view *v, int size, tw_rng *r)
{
    for (int i = 0; i < 10; i++) {
        const double area = tw_rng_between(r, 0.02, 1.0 / 3) * size * size;
        const double shape = exp(tw_rng_between(r, log(0.3), log(1 / 0.3)));
        const int h = round_even(sqrt(area * shape)), w = round_even(sqrt(area / shape));
        if (w >= size || h >= size)
            continue;
        const int top = (int)tw_rng_below(r, (uint64_t)(size - h) + 1), left = (int)tw_rng_below(r, (uint64_t)(size - w) + 1);
        v->erased = (tw_area){top, left, h, w};
        return;
    }
}

/* Length of the long side after Resize(k->resize). */
static double longer_side(const tw_view_kind *k, int w, int h)
{
    const int shorter = w <= h ? w : h, longer = w <= h ? h : w;
    return (double)((int64_t)k->resize * longer) / shorter;
}

int tw_view_check(const tw_policy *p, int w, int h)
{
    enum { MOST = 1 << 30 };
    for (int i = 0; i < p->n; i++)
        if (longer_side(&p->kind[i], w, h) > MOST)
            return tw_fail("an image of %d x %d pixels, resized to %d, is longer than %d", w, h, p->kind[i].resize, MOST);
    return 0;
}

/* Resize(resize) and CenterCrop(size), as torchvision: the long side is truncated to an integer, the crop's position rounded, ties to even. */
static void place_centre(tw_view *v, const tw_view_kind *k, int w, int h)
{
    const int to = (int)longer_side(k, w, h);
    v->resize_w = w <= h ? k->resize : to;
    v->resize_h = w <= h ? to : k->resize;
    /* a picture smaller than the crop is padded with black first: half of it, rounded down, at the top and left */
    const int pad_x = k->size > v->resize_w ? (k->size - v->resize_w) / 2 : 0;
    const int pad_y = k->size > v->resize_h ? (k->size - v->resize_h) / 2 : 0;
    const int left = k->size > v->resize_w ? -pad_x : round_even((v->resize_w - k->size) / 2.0);
    const int top = k->size > v->resize_h ? -pad_y : round_even((v->resize_h - k->size) / 2.0);
    v->crop = (tw_area){top, left, k->size, k->size};
}

void tw_view_draw(tw_view *v, const tw_policy *p, int number, int w, int h, uint64_t seed, int64_t index, int64_t epoch)
{
    const tw_view_kind *k = &p->kind[number];
    tw_rng r;
    *v = (tw_view){0};
    if (k->resize > 0) {
        place_centre(v, k, w, h);
        return;
    }
    tw_rng_init(&r, seed, TW_USE_VIEW, (uint64_t)index, (uint32_t)epoch, (uint32_t)number);
    v->crop = draw_crop(epoch >= p->late_epoch ? k->late_scale : k->scale, k->ratio, w, h, &r);
    v->flip = tw_rng_uniform(&r) < k->flip_p;
    draw_layers(v, k, &r);
    if (tw_rng_uniform(&r) < k->jitter_p)
        draw_jitter(v, k->jitter, &r);
    v->grey = tw_rng_uniform(&r) < k->grey_p;
    if (tw_rng_uniform(&r) < k->blur_p)
        v->sigma = tw_rng_between(&r, k->sigma[0], k->sigma[1]);
    v->solarize = tw_rng_uniform(&r) < k->solarize_p;
    if (tw_rng_uniform(&r) < k->erase_p)
        draw_erased(v, k->size, &r);
    v->noise = r;
}
