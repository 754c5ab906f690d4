#include "image/steps.h"

#include <string.h>

const char *const tw_step_names[] = {"brightness", "contrast", "saturation",   "hue",       "autocontrast", "equalize",
                                     "invert",     "posterize", "solarize",    "solarize_add", "sharpness", "rotate",
                                     "shear_x",    "shear_y",  "translate_x",  "translate_y", NULL};

/* Colour operations collected to be applied in one pass. */
typedef struct {
    tw_colour_op op[TW_MAX_STEPS + 1];
    int n;
} waiting;

/* Replaces the operations from the i-th on that act on single values (TW_SCALE, TW_STRETCH) by one TW_TABLE, if that is faster. */
static void fold(const tw_kernels *k, waiting *w, int i, uint8_t table[3][256])
{
    uint8_t *const plane[3] = {table[0], table[1], table[2]};
    int end = i;
    while (end < w->n && (w->op[end].kind == TW_SCALE || w->op[end].kind == TW_STRETCH))
        end++;
    if (!k->by_table || end == i)
        return;
    for (int v = 0; v < 256; v++)
        table[0][v] = table[1][v] = table[2][v] = (uint8_t)v;
    k->colour(plane, 256, 256, 1, &w->op[i], end - i, false);
    w->op[i] = (tw_colour_op){TW_TABLE, 0, 0, table[0]};
    memmove(&w->op[i + 1], &w->op[end], (size_t)(w->n - end) * sizeof *w->op);
    w->n -= end - i - 1;
}

/* The same at the beginning and the end of the list, where tables are allowed. */
static void fold_ends(const tw_kernels *k, waiting *w, uint8_t table[2][3][256])
{
    int last = w->n;
    while (last > 0 && (w->op[last - 1].kind == TW_SCALE || w->op[last - 1].kind == TW_STRETCH))
        last--;
    if (last > 0)
        fold(k, w, last, table[1]);
    fold(k, w, 0, table[0]);
}

/* Applies the collected operations. sum: returns the sum of the grey values of the result. */
static uint64_t pass(tw_workspace *ws, waiting *w, bool sum)
{
    const tw_planes *v = &ws->view;
    uint8_t table[2][3][256];
    if (w->n == 0 && !sum)
        return 0;
    fold_ends(ws->k, w, table);
    const uint64_t total = ws->k->colour(v->plane, v->pitch, v->w, v->h, w->op, w->n, sum);
    w->n = 0;
    return total;
}

static int apply(tw_workspace *ws, waiting *w, const tw_step *s)
{
    const float factor = (float)s->value;
    float mean;
    switch (s->kind) {
    case TW_BRIGHTNESS:
        w->op[w->n++] = (tw_colour_op){TW_SCALE, factor, 0, NULL};
        return 0;
    case TW_SATURATION:
        w->op[w->n++] = (tw_colour_op){TW_SATURATE, factor, 0, NULL};
        return 0;
    case TW_HUE:
        w->op[w->n++] = (tw_colour_op){TW_SHIFT_HUE, (float)((int)(s->value * 255) & 255), 0, NULL};
        return 0;
    case TW_CONTRAST: /* around the mean grey after the steps before it */
        mean = (float)(int)((double)pass(ws, w, true) / ((double)ws->view.w * ws->view.h) + 0.5);
        w->op[w->n++] = (tw_colour_op){TW_STRETCH, factor, mean, NULL};
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
        w.op[w.n++] = (tw_colour_op){TW_GREY, 0, 0, NULL};
    pass(ws, &w, false);
    return 0;
}
