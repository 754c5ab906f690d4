#include "image/policy.h"

#include <math.h>

/* Python's round(): halves to the even number, as rint does in the default rounding mode. */
static int round_even(double x)
{
    return (int)rint(x);
}

/* RandomResizedCrop.get_params. The fallback: as much of the middle as the ratio allows. */
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
        ch = round_even(w / ratio[0]);
    else if (shape > ratio[1])
        cw = round_even(h * ratio[1]);
    return (tw_area){(h - ch) / 2, (w - cw) / 2, ch, cw};
}

/* ColorJitter: a random order, each factor uniform around 1 (hue: 0); what may not change is left out. Single precision, as
 * torch draws them. */
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
            v->jitter[v->n_jitter++] = (tw_jitter_step){(tw_jitter)order[i], value[order[i]]};
}

/* Resize(resize) and CenterCrop(size): the long side is truncated, the place of the crop rounded to even. */
static void place_centre(tw_view *v, const tw_view_kind *k, int w, int h)
{
    const int shorter = w <= h ? w : h, longer = w <= h ? h : w;
    const int to = (int)((double)((int64_t)k->resize * longer) / shorter);
    v->resize_w = w <= h ? k->resize : to;
    v->resize_h = w <= h ? to : k->resize;
    /* a smaller picture gets a black border first, half of it, rounded down, at the top and left */
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
    if (tw_rng_uniform(&r) < k->jitter_p)
        draw_jitter(v, k->jitter, &r);
    v->grey = tw_rng_uniform(&r) < k->grey_p;
    if (tw_rng_uniform(&r) < k->blur_p)
        v->sigma = tw_rng_between(&r, k->sigma[0], k->sigma[1]);
    v->solarize = tw_rng_uniform(&r) < k->solarize_p;
}
