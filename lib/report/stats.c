#include "report/stats.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sixteen pixels at a time, with separate sums for each of their 48 numbers, so that compilers vectorise the loop; 65,536 squares of at most
 * 255^2 fit 32 bits. */
enum { LANES = 48, BLOCKS = 65536 };
_Static_assert((uint64_t)BLOCKS * 255 * 255 <= UINT32_MAX, "the sums of squares overflow");

static void add_blocks(tw_stats *s, const uint8_t *p, size_t blocks)
{
    uint32_t sum[LANES] = {0}, square[LANES] = {0};
    for (size_t b = 0; b < blocks; b++, p += LANES)
        for (int i = 0; i < LANES; i++) {
            const uint32_t v = p[i];
            sum[i] += v;
            square[i] += v * v;
        }
    for (int i = 0; i < LANES; i++) {
        s->sum[i % 3] += sum[i];
        s->square[i % 3] += square[i];
    }
}

static void add_pixels(tw_stats *s, const tw_tensor *t)
{
    const uint8_t *p = t->data;
    size_t n = (size_t)(t->dim[0] * t->dim[1] * 3);
    s->pixels += n / 3;
    while (n >= LANES) {
        const size_t blocks = n / LANES < BLOCKS ? n / LANES : BLOCKS;
        add_blocks(s, p, blocks);
        p += blocks * LANES;
        n -= blocks * LANES;
    }
    for (size_t i = 0; i < n; i++) {
        s->sum[i % 3] += p[i];
        s->square[i % 3] += (uint64_t)p[i] * p[i];
    }
}

int tw_stats_add(tw_stats *s, const tw_sample *sample)
{
    enum { MOST = 1 << 24 }; /* larger labels count as unlabelled */
    s->samples++;
    if (sample->image.data != NULL)
        add_pixels(s, &sample->image);
    for (int i = 0; i < sample->n_views; i++)
        add_pixels(s, &sample->views[i]);
    if (sample->label < 0 || sample->label >= MOST) {
        s->unlabelled++;
        return 0;
    }
    const size_t wanted = (size_t)sample->label + 1;
    if (tw_grow(&s->count, &s->cap, wanted, sizeof *s->count) != 0)
        return -1;
    if (s->labels < wanted) {
        memset(s->count + s->labels, 0, (wanted - s->labels) * sizeof *s->count);
        s->labels = wanted;
    }
    s->count[sample->label]++;
    return 0;
}

void tw_stats_fini(tw_stats *s)
{
    free(s->count);
    *s = (tw_stats){0};
}

void tw_stats_channel(const tw_stats *s, int channel, double *mean, double *deviation)
{
    const double n = (double)s->pixels, m = (double)s->sum[channel] / n, v = (double)s->square[channel] / n - m * m;
    *mean = m;
    *deviation = v > 0 ? sqrt(v) : 0;
}
