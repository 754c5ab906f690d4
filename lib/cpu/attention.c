/* Attention, one head of one sample at a time, in f32 whatever the type of the activations (but see attention_bf16.h). The T x T scores exist only
 * for a block of rows at a time, in cache; the backward pass recomputes them from log_sum (FlashAttention, Dao et al. 2022). */
#include "cpu/ops.h"

#include "cpu/attention_bf16.h"
#include "cpu/device.h"
#include "cpu/vec.h"
#include "eval/matrix.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { ROWS = TW_MATRIX_ROWS, TOKENS = 8, PANELS = 3 };

/* A thread's scratch memory. */
typedef struct {
    float *q, *k, *v, *y, *dy, *dq, *dk, *dv; /* [T,width]; q times 1 / sqrt(width) */
    float *p, *dp;                             /* [ROWS,T] */
    float *panel[PANELS], *row_panel;          /* packed right operands: of T tokens each; of the rows of a block */
    int T, width;
} room;

static size_t up_to(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Floats for a packed operand [n,k], enough for any kernel's layout. */
static size_t panel_floats(size_t n, size_t k)
{
    const size_t nr = (size_t)tw_matrix_kernel_at(0)->nr;
    const size_t a = up_to(n, nr) * k, b = up_to(k, nr) * n;
    return up_to(a > b ? a : b, 16);
}

static size_t room_floats(const tw_attention *a)
{
    const size_t T = (size_t)a->T, width = (size_t)a->width;
    return TOKENS * up_to(T * width, 16) + 2 * up_to(ROWS * T, 16) + PANELS * panel_floats(T, width) + panel_floats(ROWS, width);
}

static room room_at(float *at, const tw_attention *a)
{
    const size_t T = (size_t)a->T, width = (size_t)a->width;
    room r = {.T = a->T, .width = a->width};
    float **tokens[TOKENS] = {&r.q, &r.k, &r.v, &r.y, &r.dy, &r.dq, &r.dk, &r.dv};
    for (int i = 0; i < TOKENS; i++, at += up_to(T * width, 16))
        *tokens[i] = at;
    r.p = at;
    r.dp = at += up_to(ROWS * T, 16);
    at += up_to(ROWS * T, 16);
    for (int i = 0; i < PANELS; i++, at += panel_floats(T, width))
        r.panel[i] = at;
    r.row_panel = at;
    return r;
}

/* Packs the right operand of n rows of k elements, b[j*row + d*col], into memory. */
static tw_panels lay(float *memory, const float *b, size_t row, size_t col, int n, int k)
{
    tw_panels p = {.kernel = tw_matrix_kernel_at(0), .data = memory};
    tw_panels_set(&p, b, row, col, n, k, NULL);
    return p;
}

/* to [T,width] = scale times the head's columns of x, whose rows are `stride` long. */
TW_KERNEL void gather_any(float *restrict to, const void *restrict x, size_t at, size_t stride, int T, int width, float scale,
                           tw_dtype t)
{
    for (int i = 0; i < T; i++)
        for (int c = 0; c < width; c++)
            to[i * width + c] = scale * tw_get(x, at + (size_t)i * stride + (size_t)c, t);
}

TW_CLONES static void gather(float *to, const void *x, size_t at, size_t stride, int T, int width, float scale, tw_dtype t)
{
    TW_BY_TYPE(t, gather_any, to, x, at, stride, T, width, scale);
}

TW_KERNEL void scatter_any(void *restrict x, const float *restrict from, size_t at, size_t stride, int T, int width, float scale,
                            tw_dtype t)
{
    for (int i = 0; i < T; i++)
        for (int c = 0; c < width; c++)
            tw_put(x, at + (size_t)i * stride + (size_t)c, scale * from[i * width + c], t);
}

TW_CLONES static void scatter(void *x, const float *from, size_t at, size_t stride, int T, int width, float scale, tw_dtype t)
{
    TW_BY_TYPE(t, scatter_any, x, from, at, stride, T, width, scale);
}

enum { LANES = 16 };

/* p [T] = exp(p - max p); returns their sum, and the maximum in *max. */
TW_CLONES static float exponentials(float *restrict p, int T, float *max)
{
    float top[LANES], lane[LANES] = {0}, m = p[0], sum = 0;
    int i = 0;
    for (int k = 0; k < LANES; k++)
        top[k] = m;
    for (; i + LANES <= T; i += LANES)
        for (int k = 0; k < LANES; k++)
            top[k] = p[i + k] > top[k] ? p[i + k] : top[k];
    for (; i < T; i++)
        m = p[i] > m ? p[i] : m;
    for (int k = 0; k < LANES; k++)
        m = top[k] > m ? top[k] : m;
    for (i = 0; i + LANES <= T; i += LANES)
        for (int k = 0; k < LANES; k++) {
            p[i + k] = tw_exp(p[i + k] - m);
            lane[k] += p[i + k];
        }
    for (; i < T; i++) {
        p[i] = tw_exp(p[i] - m);
        sum += p[i];
    }
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    *max = m;
    return sum;
}

TW_CLONES static void scale_row(float *restrict y, int n, float factor)
{
    for (int c = 0; c < n; c++)
        y[c] *= factor;
}

/* p = q k^T, rows first .. first+n-1. */
static void scores(const room *r, const tw_panels *keys, int first, int n)
{
    tw_product(r->p, (size_t)r->T, r->q + (size_t)first * (size_t)r->width, (size_t)r->width, 1, n, keys, false);
}

static void forward_head(const room *r, float *log_sum)
{
    const size_t width = (size_t)r->width;
    const tw_panels keys = lay(r->panel[0], r->k, width, 1, r->T, r->width);
    const tw_panels values = lay(r->panel[1], r->v, 1, width, r->width, r->T);
    for (int first = 0; first < r->T; first += ROWS) {
        const int n = (int)tw_min(ROWS, r->T - first);
        float sum[ROWS], max;
        scores(r, &keys, first, n);
        for (int i = 0; i < n; i++) {
            sum[i] = exponentials(r->p + (size_t)i * (size_t)r->T, r->T, &max);
            if (log_sum != NULL)
                log_sum[first + i] = max + logf(sum[i]);
        }
        float *y = r->y + (size_t)first * width;
        tw_product(y, width, r->p, (size_t)r->T, 1, n, &values, false);
        for (int i = 0; i < n; i++)
            scale_row(y + (size_t)i * width, r->width, 1 / sum[i]);
    }
}

static void gather_qkv(const room *r, const void *qkv, const tw_head_place *at, float scale, tw_dtype t)
{
    gather(r->q, qkv, at->qkv, at->qkv_stride, r->T, r->width, scale, t);
    gather(r->k, qkv, at->qkv + at->part, at->qkv_stride, r->T, r->width, 1, t);
    gather(r->v, qkv, at->qkv + 2 * at->part, at->qkv_stride, r->T, r->width, 1, t);
}

int tw_cpu_attention_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv)
{
    if (tw_attention_bf16_suits(d, a))
        return tw_attention_bf16_forward(d, a, y, qkv);
    const size_t floats = room_floats(a);
    float *memory = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * floats * sizeof *memory);
    if (memory == NULL)
        return -1;
    const float scale = 1 / sqrtf((float)a->width);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < a->N * a->heads; i++) {
        const room r = room_at(memory + (size_t)omp_get_thread_num() * floats, a);
        const tw_head_place at = tw_head_place_of(a, i);
        gather_qkv(&r, qkv, &at, scale, d->precision);
        forward_head(&r, a->train ? a->log_sum + (size_t)i * (size_t)a->T : NULL);
        scatter(y, r.y, at.y, at.y_stride, r.T, r.width, 1, d->precision);
    }
    return 0;
}

/* One row: p = exp(p - log_sum), dp = p (dp - dot), dot: the row's sum of dy y. */
TW_CLONES static void backward_row(float *restrict p, float *restrict dp, int T, float log_sum, float dot)
{
    for (int k = 0; k < T; k++) {
        p[k] = tw_exp(p[k] - log_sum);
        dp[k] = p[k] * (dp[k] - dot);
    }
}

TW_CLONES static float dot_product(const float *a, const float *b, int n)
{
    float lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

static void backward_head(const room *r, const float *log_sum)
{
    const size_t width = (size_t)r->width, T = (size_t)r->T;
    const tw_panels keys = lay(r->panel[0], r->k, width, 1, r->T, r->width);
    const tw_panels values = lay(r->panel[1], r->v, width, 1, r->T, r->width);
    const tw_panels keys_across = lay(r->panel[2], r->k, 1, width, r->width, r->T);
    for (int first = 0; first < r->T; first += ROWS) {
        const int n = (int)tw_min(ROWS, r->T - first);
        const size_t at = (size_t)first * width;
        scores(r, &keys, first, n);
        tw_product(r->dp, T, r->dy + at, width, 1, n, &values, false);
        for (int i = 0; i < n; i++)
            backward_row(r->p + (size_t)i * T, r->dp + (size_t)i * T, r->T, log_sum[first + i],
                         dot_product(r->dy + at + (size_t)i * width, r->y + at + (size_t)i * width, r->width));
        tw_panels rows = lay(r->row_panel, r->dy + at, 1, width, r->width, n);
        tw_product(r->dv, width, r->p, 1, T, r->T, &rows, first > 0);
        rows = lay(r->row_panel, r->q + at, 1, width, r->width, n);
        tw_product(r->dk, width, r->dp, 1, T, r->T, &rows, first > 0);
        tw_product(r->dq + at, width, r->dp, T, 1, n, &keys_across, false);
    }
}

int tw_cpu_attention_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv)
{
    if (tw_attention_bf16_suits(d, a))
        return tw_attention_bf16_backward(d, a, dqkv, dy, y, qkv);
    const size_t floats = room_floats(a);
    float *memory = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * floats * sizeof *memory);
    if (memory == NULL)
        return -1;
    const float scale = 1 / sqrtf((float)a->width);
    const tw_dtype t = d->precision;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < a->N * a->heads; i++) {
        const room r = room_at(memory + (size_t)omp_get_thread_num() * floats, a);
        const tw_head_place at = tw_head_place_of(a, i);
        gather_qkv(&r, qkv, &at, scale, t);
        gather(r.y, y, at.y, at.y_stride, r.T, r.width, 1, t);
        gather(r.dy, dy, at.y, at.y_stride, r.T, r.width, 1, t);
        backward_head(&r, a->log_sum + (size_t)i * (size_t)a->T);
        scatter(dqkv, r.dq, at.qkv, at.qkv_stride, r.T, r.width, scale, t);
        scatter(dqkv, r.dk, at.qkv + at.part, at.qkv_stride, r.T, r.width, 1, t);
        scatter(dqkv, r.dv, at.qkv + 2 * at.part, at.qkv_stride, r.T, r.width, 1, t);
    }
    return 0;
}
