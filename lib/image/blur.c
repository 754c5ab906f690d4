#include "image/blur.h"

#include <math.h>

enum { PASSES = 3 };

/* The extended box filter that, applied PASSES times, approximates the Gaussian. Same steps and float roundings as Pillow. */
static tw_box make_box(float sigma)
{
    const float variance = sigma * sigma / PASSES;
    const float length = (float)sqrt(12.0 * (double)variance + 1.0);
    const float whole = (float)floor(((double)length - 1.0) / 2.0);
    float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
    part /= 6 * (variance - (whole + 1) * (whole + 1));
    const float radius = whole + part;
    tw_box b = {.radius = (int)radius};
    b.inside = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
    b.beyond = ((1u << 24) - (uint32_t)(b.radius * 2 + 1) * b.inside) / 2;
    return b;
}

int tw_blur(tw_workspace *ws, double sigma, int channels)
{
    const tw_planes *v = &ws->view;
    const tw_kernels *k = ws->k;
    const size_t lane = (size_t)k->lane, width = tw_round_up((size_t)v->w, TW_TURN);
    const tw_box b = make_box((float)sigma);
    const size_t longest = (size_t)(v->w > v->h ? v->w : v->h) + 2 * ((size_t)b.radius + 1);
    if ((float)sigma == 0)
        return 0;
    uint8_t *tile = tw_room_reserve(&ws->tile, tw_round_up((size_t)v->w, lane) * lane);
    uint16_t *work = tw_room_reserve(&ws->blur, 2 * longest * lane * sizeof *work);
    if (tile == NULL || work == NULL)
        return -1;
    for (int c = 0; c < channels; c++) {
        for (int y = 0; y < v->h; y += k->lane) {
            const uint8_t *row[TW_MAX_LANE];
            for (size_t i = 0; i < lane; i++)
                row[i] = v->plane[c] + ((size_t)y + i) * v->pitch;
            k->turn_in(tile, row, (size_t)v->w);
            k->blur(tile, lane, v->w, &b, PASSES, work);
            k->turn_out(v->plane[c] + (size_t)y * v->pitch, v->pitch, tile, width);
        }
        for (size_t x = 0; x < (size_t)v->w; x += lane)
            k->blur(v->plane[c] + x, v->pitch, v->h, &b, PASSES, work);
    }
    return 0;
}
