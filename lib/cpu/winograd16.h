/* Inside winograd16.c and winograd16_gradient.c: F(2x2, 3x3) in bf16. */
#ifndef TW_CPU_WINOGRAD16_H
#define TW_CPU_WINOGRAD16_H

#include "cpu/device.h"
#include "cpu/product16.h"
#include "cpu/vec.h"

#if defined(__x86_64__)
enum { POSITIONS = 16, TILE = 2, SEEN = 4, GROUP = TW_PANEL /* channels */, ROWS = TW_PANEL_ROWS /* tiles */ };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    int down, across;         /* tiles of a picture */
    uint32_t *u_forward;      /* [K/32, 16, C/2, 32] words of two inputs' weights for an output */
    uint32_t *u_data;         /* [C/32, 16, K/2, 32], or NULL */
} tw_winograd16;

/* In V the channels of a group are reordered, the even ones first, then the odd ones: the channel at position i. */
static inline int tw_wino16_channel(int i)
{
    return i < GROUP / 2 ? 2 * i : 2 * i - GROUP + 1;
}

/* The operands of a pass: x [N,H,W,C] convolved to y [N,H,W,K]. */
typedef struct {
    const tw_winograd16 *w;
    const uint32_t *u;
    const uint16_t *x;
    uint16_t *y;
    int C, K;
    const float *shift;       /* of a folded convolution, [K]; else NULL */
    const uint16_t *shortcut; /* or NULL */
} tw_wino16_pass;

/* `count` horizontally adjacent tiles: the picture n, and row y and column x of the first tile's first output. */
typedef struct {
    int n, y, x, count;
} tw_wino16_run;

static inline tw_wino16_run tw_wino16_run_at(const tw_winograd16 *w, int64_t tile, int most)
{
    const int each = w->down * w->across, in = (int)(tile % each), x = in % w->across;
    return (tw_wino16_run){(int)(tile / each), in / w->across * TILE, x * TILE, (int)tw_min(w->across - x, most)};
}

static inline size_t tw_wino16_pixel(const tw_wino16_pass *c, int n, int y, int x, int channels)
{
    const tw_conv_shape *s = &c->w->shape;
    return (((size_t)n * (size_t)s->H + (size_t)y) * (size_t)s->W + (size_t)x) * (size_t)channels;
}

static const uint16_t tw_wino16_zeros[GROUP]; /* read instead of a pixel outside the picture */

TW_AVX512_KERNEL void tw_wino16_store(uint16_t *to, __m512 low, __m512 high)
{
    _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* v = B^T x B, in bf16, of a run of tiles in channels group .. group + 31; strides, in elements: `each` from tile to tile, `apart` from position to
 * position (of 16). */
void tw_wino16_spread(uint16_t *v, size_t each, size_t apart, const tw_wino16_pass *c, tw_wino16_run r, int group);

/* gradient: dw [K,C,3,3] += the weight gradient. reserve: its scratch memory, called when a plan is made. 0, or -1 and tw_error(). */
int tw_wino16_gradient_reserve(const tw_winograd16 *w);
int tw_wino16_gradient(const tw_winograd16 *w, float *dw, const void *x, const void *dy);
#endif

#endif
