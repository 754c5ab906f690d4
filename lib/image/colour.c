#include "image/colour.h"

const char *const tw_jitter_names[] = {"brightness", "contrast", "saturation", "hue", NULL};

/* One pass over the picture. sum: returns the sum of greys. */
static uint64_t pass(tw_workspace *ws, const tw_colour_op *op, int n, bool sum)
{
    const tw_planes *v = &ws->view;
    const bool whole = v->pitch == (size_t)v->w; /* rows side by side are one long row */
    const size_t width = whole ? (size_t)v->w * (size_t)v->h : (size_t)v->w;
    uint64_t total = 0;
    for (int y = 0; y < (whole ? 1 : v->h); y++) {
        const size_t at = (size_t)y * v->pitch;
        uint8_t *const plane[3] = {v->plane[0] + at, v->plane[1] + at, v->plane[2] + at};
        total += ws->k->colour(plane, width, op, n, sum);
    }
    return total;
}

void tw_colour(tw_workspace *ws, const tw_jitter_step *step, int n, bool grey)
{
    tw_colour_op op[TW_MAX_JITTER + 1];
    int waiting = 0;
    for (int i = 0; i < n; i++) {
        const float factor = (float)step[i].value;
        float mean;
        switch (step[i].what) {
        case TW_BRIGHTNESS:
            op[waiting++] = (tw_colour_op){TW_SCALE, factor, 0};
            break;
        case TW_SATURATION:
            op[waiting++] = (tw_colour_op){TW_SATURATE, factor, 0};
            break;
        case TW_HUE:
            op[waiting++] = (tw_colour_op){TW_SHIFT_HUE, (float)((int)(step[i].value * 255) & 255), 0};
            break;
        case TW_CONTRAST: /* around the mean of what the steps so far have made */
            mean = (float)(int)((double)pass(ws, op, waiting, true) / ((double)ws->view.w * ws->view.h) + 0.5);
            op[0] = (tw_colour_op){TW_STRETCH, factor, mean};
            waiting = 1;
        }
    }
    if (grey)
        op[waiting++] = (tw_colour_op){TW_GREY, 0, 0};
    if (waiting > 0)
        pass(ws, op, waiting, false);
}
