#include "image/view.h"

#include "image/blur.h"
#include "image/erase.h"

#include <string.h>

/* Evaluation: resizes the picture and crops the centre. Where the crop extends beyond the resized picture, the view is black. */
static int cut_centre(tw_workspace *ws, const tw_rgb *image, const tw_view_kind *k, const tw_view *v)
{
    const tw_area all = {0, 0, image->h, image->w}, *c = &v->crop;
    const int top = c->top > 0 ? c->top : 0, left = c->left > 0 ? c->left : 0;
    const int bottom = c->top + c->height < v->resize_h ? c->top + c->height : v->resize_h;
    const int right = c->left + c->width < v->resize_w ? c->left + c->width : v->resize_w;
    const tw_area part = {top, left, bottom - top, right - left};
    if (tw_resize(ws, image, &all, v->resize_w, v->resize_h, &part, k->filter, false) != 0)
        return -1;
    if (part.height == c->height && part.width == c->width)
        return 0;
    const tw_planes small = ws->view;
    tw_room kept = ws->pixels; /* keeps the small picture while the view is allocated */
    ws->pixels = (tw_room){0};
    const int rc = tw_workspace_view(ws, k->size, k->size);
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        memset(ws->view.plane[i], 0, ws->view.pitch * (size_t)k->size);
        for (int y = 0; y < small.h; y++)
            memcpy(ws->view.plane[i] + (size_t)(y + top - c->top) * ws->view.pitch + (left - c->left),
                   small.plane[i] + (size_t)y * small.pitch, (size_t)small.w);
    }
    tw_room_free(&kept);
    return rc;
}

static void write_out(const tw_workspace *ws, uint8_t *to, bool grey, bool solarize)
{
    const tw_planes *v = &ws->view;
    const bool whole = v->pitch == (size_t)v->w;
    const size_t width = whole ? (size_t)v->w * (size_t)v->h : (size_t)v->w;
    for (int y = 0; y < (whole ? 1 : v->h); y++, to += 3 * width) {
        const size_t at = (size_t)y * v->pitch;
        const uint8_t *const plane[3] = {v->plane[0] + at, v->plane[grey ? 0 : 1] + at, v->plane[grey ? 0 : 2] + at};
        ws->k->interleave(to, plane, width, solarize);
    }
}

int tw_view_make(tw_workspace *ws, uint8_t *to, const tw_rgb *image, const tw_view_kind *k, const tw_view *v)
{
    const tw_area whole = {0, 0, k->size, k->size};
    const int rc = v->resize_w > 0 ? cut_centre(ws, image, k, v)
                                   : tw_resize(ws, image, &v->crop, k->size, k->size, &whole, k->filter, v->flip);
    if (rc != 0)
        return -1;
    if (tw_steps(ws, v->step, v->n_steps, v->grey) != 0)
        return -1;
    if (tw_blur(ws, v->sigma, v->grey ? 1 : 3) != 0)
        return -1;
    write_out(ws, to, v->grey, v->solarize);
    tw_erase(to, k->size, &v->erased, v->noise);
    return 0;
}
