#include "image/steps.h"

const char *const tw_step_names[] = {"brightness", "contrast", "saturation",   "hue",       "autocontrast", "equalize",
                                     "invert",     "posterize", "solarize",    "solarize_add", "sharpness", "rotate",
                                     "shear_x",    "shear_y",  "translate_x",  "translate_y", NULL};

/* Colour operations that wait to be applied in one pass. */
typedef struct {
    tw_colour_op op[TW_MAX_STEPS + 1];
    int n;
} waiting;

/* One pass over the picture. sum: returns the sum of greys. */
static uint64_t pass(tw_workspace *ws, waiting *w, bool sum)
{
    const tw_planes *v = &ws->view;
    const bool whole = v->pitch == (size_t)v->w; /* rows side by side are one long row */
    const size_t width = whole ? (size_t)v->w * (size_t)v->h : (size_t)v->w;
    uint64_t total = 0;
    if (w->n == 0 && !sum)
        return 0;
    for (int y = 0; y < (whole ? 1 : v->h); y++) {
        const size_t at = (size_t)y * v->pitch;
        uint8_t *const plane[3] = {v->plane[0] + at, v->plane[1] + at, v->plane[2] + at};
        total += ws->k->colour(plane, width, w->op, w->n, sum);
    }
    w->n = 0;
    return total;
}

static int apply(tw_workspace *ws, waiting *w, const tw_step *s)
{
    const float factor = (float)s->value;
    float mean;
    switch (s->kind) {
    case TW_BRIGHTNESS:
        w->op[w->n++] = (tw_colour_op){TW_SCALE, factor, 0};
        return 0;
    case TW_SATURATION:
        w->op[w->n++] = (tw_colour_op){TW_SATURATE, factor, 0};
        return 0;
    case TW_HUE:
        w->op[w->n++] = (tw_colour_op){TW_SHIFT_HUE, (float)((int)(s->value * 255) & 255), 0};
        return 0;
    case TW_CONTRAST: /* around the mean of what the steps so far have made */
        mean = (float)(int)((double)pass(ws, w, true) / ((double)ws->view.w * ws->view.h) + 0.5);
        w->op[w->n++] = (tw_colour_op){TW_STRETCH, factor, mean};
        return 0;
    default:
        pass(ws, w, false);
    }
    if (s->kind >= TW_ROTATE)
        return tw_step_transform(ws, s);
    if (s->kind == TW_SHARPNESS)
        return tw_step_sharpen(ws, s->value);
    tw_step_lookup(ws, s);
    return 0;
}

int tw_steps(tw_workspace *ws, const tw_step *step, int n, bool grey)
{
    waiting w = {.n = 0};
    for (int i = 0; i < n; i++)
        if (apply(ws, &w, &step[i]) != 0)
            return -1;
    if (grey)
        w.op[w.n++] = (tw_colour_op){TW_GREY, 0, 0};
    pass(ws, &w, false);
    return 0;
}
