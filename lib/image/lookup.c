#include "image/steps.h"

#include <string.h>

static void histogram(const tw_planes *v, int c, uint32_t count[256])
{
    memset(count, 0, 256 * sizeof *count);
    for (int y = 0; y < v->h; y++) {
        const uint8_t *row = v->plane[c] + (size_t)y * v->pitch;
        for (int x = 0; x < v->w; x++)
            count[row[x]]++;
    }
}

static uint8_t clip(long long v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Maps the smallest and greatest values present to 0 and 255, linearly and truncated. */
static void autocontrast(uint8_t table[256], const uint32_t count[256])
{
    int low = 0, high = 255;
    while (low < 255 && count[low] == 0)
        low++;
    while (high > 0 && count[high] == 0)
        high--;
    if (high <= low)
        return;
    const double scale = 255.0 / (high - low), offset = -low * scale;
    for (int i = 0; i < 256; i++)
        table[i] = clip((long long)(i * scale + offset));
}

/* Maps each value to the number of pixels below it, in units of 1/255 of all pixels except those of the greatest value. */
static void equalize(uint8_t table[256], const uint32_t count[256])
{
    uint64_t sum = 0, last = 0;
    int used = 0;
    for (int i = 0; i < 256; i++) {
        sum += count[i];
        used += count[i] != 0;
        last = count[i] != 0 ? count[i] : last;
    }
    const uint64_t step = (sum - last) / 255;
    if (used <= 1 || step == 0)
        return;
    uint64_t n = step / 2;
    for (int i = 0; i < 256; i++) {
        table[i] = clip((long long)(n / step));
        n += count[i];
    }
}

static void make_table(uint8_t table[256], const tw_step *s, const tw_planes *v, int c)
{
    uint32_t count[256];
    const int value = (int)s->value;
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)i;
    if (s->kind == TW_AUTOCONTRAST || s->kind == TW_EQUALIZE) {
        histogram(v, c, count);
        if (s->kind == TW_EQUALIZE)
            equalize(table, count);
        else
            autocontrast(table, count);
        return;
    }
    for (int i = 0; i < 256; i++) {
        if (s->kind == TW_INVERT || (s->kind == TW_SOLARIZE && i >= s->value))
            table[i] = (uint8_t)(255 - i);
        else if (s->kind == TW_POSTERIZE)
            table[i] = (uint8_t)(i & ~((1 << (8 - value)) - 1));
        else if (s->kind == TW_SOLARIZE_ADD && i < 128)
            table[i] = clip(i + value);
    }
}

void tw_step_lookup(tw_workspace *ws, const tw_step *step)
{
    const tw_planes *v = &ws->view;
    for (int c = 0; c < 3; c++) {
        uint8_t table[256];
        make_table(table, step, v, c);
        for (int y = 0; y < v->h; y++) {
            uint8_t *row = v->plane[c] + (size_t)y * v->pitch;
            for (int x = 0; x < v->w; x++)
                row[x] = table[row[x]];
        }
    }
}
