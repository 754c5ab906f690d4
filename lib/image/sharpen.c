#include "image/steps.h"

#include <string.h>

/* Pillow's ImageFilter.SMOOTH on one pixel, with the same order of additions: row below, own row, row above. */
static uint8_t smooth(const uint8_t *below, const uint8_t *row, const uint8_t *above, int x)
{
    const float side = 1.0f / 13, middle = 5.0f / 13;
    float sum = 0.5f;
    sum += (float)below[x - 1] * side + (float)below[x] * side + (float)below[x + 1] * side;
    sum += (float)row[x - 1] * side + (float)row[x] * middle + (float)row[x + 1] * side;
    sum += (float)above[x - 1] * side + (float)above[x] * side + (float)above[x + 1] * side;
    return sum <= 0 ? 0 : sum >= 255 ? 255 : (uint8_t)sum;
}

static uint8_t blend(uint8_t smoothed, uint8_t value, float factor)
{
    const float v = (float)smoothed + factor * (float)(value - smoothed);
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* ImageEnhance.Sharpness: blends with the smoothed picture, or extrapolates from it. The border pixels are unchanged. */
int tw_step_sharpen(tw_workspace *ws, double factor)
{
    const tw_planes *v = &ws->view;
    const size_t pitch = v->pitch;
    uint8_t *before = tw_room_reserve(&ws->middle, 2 * pitch); /* the original row above and the original current row */
    if (before == NULL)
        return -1;
    for (int c = 0; c < 3; c++) {
        uint8_t *row = v->plane[c];
        memcpy(before, row, pitch);
        for (int y = 1; y < v->h - 1; y++) {
            uint8_t *above = before + (size_t)(y - 1) % 2 * pitch, *here = before + (size_t)y % 2 * pitch;
            row += pitch;
            memcpy(here, row, pitch);
            for (int x = 1; x < v->w - 1; x++)
                row[x] = blend(smooth(row + pitch, here, above, x), here[x], (float)factor);
        }
    }
    return 0;
}
