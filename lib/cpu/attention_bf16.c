/* One head of one sample at a time, as in attention.c. The instructions multiply words of two bf16 numbers that are neighbours in the inner
 * dimension, so each operand is packed with the pairs that its product needs. */
#include "cpu/attention_bf16.h"

#include "cpu/avx512.h"
#include "cpu/vec.h"

#include <math.h>

enum { MOST_WIDTH = 1024 };

bool tw_attention_bf16_suits(const tw_dev *d, const tw_attention *a)
{
#if defined(__x86_64__)
    return d->precision == TW_BF16 && a->width % 32 == 0 && a->width <= MOST_WIDTH;
#else
    (void)d, (void)a;
    return false;
#endif
}

#if defined(__x86_64__)
#include <omp.h>

/* MR: rows of a register tile; ROWS: rows whose scores are computed at a time; BLOCK: rows whose probabilities are kept for the products that
 * sum over rows. */
enum { MR = 8, ROWS = 2 * MR, BLOCK = 256, LANES = 16 };

/* A thread's scratch memory. Operands are in words; dimensions are padded so that all rows are whole vectors. */
typedef struct {
    int T, width, padded; /* padded: T up to a multiple of 16 */
    uint32_t *q, *dy;                      /* rows, [padded,width/2] */
    uint32_t *q_pairs, *dy_pairs, *k_pairs; /* pairs of rows, [padded/2,width]; in the forward pass k_pairs has the values' */
    uint32_t *k_across, *v_across;         /* [width/2,padded] */
    uint32_t *p_rows;                      /* [ROWS,padded/2]: probabilities, or the gradients of scores */
    uint32_t *p_pairs, *dp_pairs;          /* of a block, [BLOCK/2,padded] */
    float *s, *dp;                         /* [ROWS,padded] */
    float *out;                            /* [ROWS,width] */
    float *dk, *dv;                        /* [padded,width] */
} room;

enum { ARRAYS = 14 };

/* Places a thread's buffers in memory (NULL: only counts) and returns the bytes they need. */
static size_t carve(room *r, char *memory, const tw_attention *a, bool backward)
{
    const size_t width = (size_t)a->width, padded = ((size_t)a->T + LANES - 1) / LANES * LANES, tokens = padded * width / 2;
    const size_t block = (size_t)tw_min(BLOCK, (int64_t)padded) / 2 * padded;
    *r = (room){.T = a->T, .width = a->width, .padded = (int)padded};
    const struct {
        void *at;
        size_t words;
        bool both; /* needed in both passes */
    } part[ARRAYS] = {{&r->q, tokens, true}, {&r->k_pairs, tokens, true}, {&r->k_across, tokens, true}, {&r->p_rows, ROWS * padded / 2, true},
                      {&r->s, ROWS * padded, true}, {&r->out, ROWS * width, true}, {&r->dy, tokens, false}, {&r->q_pairs, tokens, false},
                      {&r->dy_pairs, tokens, false}, {&r->v_across, tokens, false}, {&r->p_pairs, block, false}, {&r->dp_pairs, block, false},
                      {&r->dp, ROWS * padded, false}, {&r->dk, 4 * tokens, false}};
    size_t used = 0;
    for (int i = 0; i < ARRAYS; i++) {
        char *at = memory != NULL ? memory + used : NULL;
        memcpy(part[i].at, &at, sizeof at);
        used += part[i].both || backward ? (part[i].words * sizeof(uint32_t) + 63) / 64 * 64 : 0;
    }
    r->dv = r->dk + 2 * tokens;
    return used;
}

/* c [MR, 16 vectors], row stride `stride`, = (add ? c : 0) + a times b, over `steps` words: a's word of row i and step p is a[i*row + p*step], b's
 * 16 vectors words of step p begin at b[p*across]. */
TW_AVX512_KERNEL void tile_any(float *c, size_t stride, const uint32_t *a, size_t row, size_t step, const uint32_t *b, size_t across, int steps,
                               bool add, int vectors)
{
    __m512 s[MR][3];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++)
            s[i][j] = add ? _mm512_loadu_ps(c + (size_t)i * stride + LANES * j) : _mm512_setzero_ps();
    for (int p = 0; p < steps; p++, a += step, b += across) {
        __m512i x[3];
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++)
            x[j] = _mm512_loadu_si512(b + LANES * j);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            const __m512i g = _mm512_set1_epi32((int)a[(size_t)i * row]);
#pragma GCC unroll 3
            for (int j = 0; j < vectors; j++)
                s[i][j] = _mm512_dpbf16_ps(s[i][j], (__m512bh)g, (__m512bh)x[j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++)
            _mm512_storeu_ps(c + (size_t)i * stride + LANES * j, s[i][j]);
}

/* The left operand: m rows, a multiple of MR. */
typedef struct {
    const uint32_t *at;
    size_t row, step;
    int m;
} left;

/* c [m,n] (+)= a b, n a multiple of 16; b: words [steps,n], row stride `across`. Three vectors of columns at a time, or two where one would be
 * left over. */
TW_AVX512 static void product(float *c, size_t stride, left a, const uint32_t *b, size_t across, int n, int steps, bool add)
{
    for (int j = 0, k; j < n; j += k * LANES) {
        const int vectors = (n - j) / LANES;
        k = vectors == 4 || vectors == 2 ? 2 : vectors == 1 ? 1 : 3;
        for (int i = 0; i < a.m; i += MR) {
            float *to = c + (size_t)i * stride + j;
            const uint32_t *from = a.at + (size_t)i * a.row;
            if (k == 3)
                tile_any(to, stride, from, a.row, a.step, b + j, across, steps, add, 3);
            else if (k == 2)
                tile_any(to, stride, from, a.row, a.step, b + j, across, steps, add, 2);
            else
                tile_any(to, stride, from, a.row, a.step, b + j, across, steps, add, 1);
        }
    }
}

/* Token i of a head as words [width/2]; row stride `stride`. For i >= T the caller's zeros. */
static inline const uint32_t *token(const uint16_t *x, size_t stride, int i, int T, const uint32_t *zeros)
{
    return i < T ? (const uint32_t *)(const void *)(x + (size_t)i * stride) : zeros;
}

static const uint32_t nothing[MOST_WIDTH / 2];

TW_AVX512 static void lay_rows(uint32_t *to, const uint16_t *x, size_t stride, const room *r)
{
    for (int i = 0; i < r->padded; i++)
        memcpy(to + (size_t)i * (size_t)r->width / 2, token(x, stride, i, r->T, nothing), (size_t)r->width * 2);
}

/* Packs words of rows 2i and 2i + 1: [padded/2,width]. */
TW_AVX512 static void lay_pairs(uint32_t *to, const uint16_t *x, size_t stride, const room *r)
{
    for (int i = 0; i < r->padded; i += 2) {
        const uint32_t *even = token(x, stride, i, r->T, nothing), *odd = token(x, stride, i + 1, r->T, nothing);
        for (int c = 0; c < r->width; c += 2 * LANES, to += 2 * LANES) {
            __m512i low, high;
            tw_words(&low, &high, _mm512_loadu_si512(even + c / 2), _mm512_loadu_si512(odd + c / 2));
            _mm512_storeu_si512(to, low);
            _mm512_storeu_si512(to + LANES, high);
        }
    }
}

/* Packs transposed: word c of all rows, [width/2,padded]. */
TW_AVX512 static void lay_across(uint32_t *to, const uint16_t *x, size_t stride, const room *r)
{
    for (int i = 0; i < r->padded; i += LANES)
        for (int c = 0; c < r->width / 2; c += LANES) {
            __m512i w[LANES];
#pragma GCC unroll 16
            for (int k = 0; k < LANES; k++)
                w[k] = _mm512_loadu_si512(token(x, stride, i + k, r->T, nothing) + c);
            tw_transpose16(w);
#pragma GCC unroll 16
            for (int k = 0; k < LANES; k++)
                _mm512_storeu_si512(to + (size_t)(c + k) * (size_t)r->padded + i, w[k]);
        }
}

/* Writes x [n,width], each row times its factor, rounded to bf16, to a head's columns. */
TW_AVX512 static void put_rows(uint16_t *to, size_t stride, const float *x, const float *factor, int each, int n, int width)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < width; c += LANES) {
            const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + (size_t)i * (size_t)width + c), _mm512_set1_ps(factor[i * each]));
            _mm256_storeu_si256((void *)(to + (size_t)i * stride + c), (__m256i)_mm512_cvtneps_pbh(v));
        }
}

/* p [padded] in bf16 = 2^(scale (s - max s)), 0 from T on; returns their sum, and the maximum in *max. */
TW_AVX512 static float probabilities(uint32_t *p, const float *s, int T, float scale, float *max)
{
    const __m512 by = _mm512_set1_ps(scale);
    __m512 top = _mm512_set1_ps(s[0]), sum = _mm512_setzero_ps();
    for (int j = 0; j < T; j += LANES)
        top = _mm512_mask_max_ps(top, tw_first_lanes(T - j), top, _mm512_loadu_ps(s + j));
    *max = _mm512_reduce_max_ps(top);
    const __m512 less = _mm512_set1_ps(*max * scale);
    for (int j = 0; j < T; j += LANES) {
        const __m512 e = tw_exp2_lanes(tw_first_lanes(T - j), _mm512_fmsub_ps(_mm512_loadu_ps(s + j), by, less));
        sum = _mm512_add_ps(sum, e);
        _mm256_storeu_si256((void *)(p + j / 2), (__m256i)_mm512_cvtneps_pbh(e));
    }
    return _mm512_reduce_add_ps(sum);
}

/* Prefetches rows first .. first + n - 1 of the next head into the L2 cache: their stride defeats the hardware prefetcher. */
static void fetch_rows(const uint16_t *x, size_t stride, int first, int n, int width)
{
    for (int i = first; i < first + n; i++)
        for (int c = 0; c < width; c += 2 * LANES)
            _mm_prefetch((const char *)(x + (size_t)i * stride + c), _MM_HINT_T1);
}

#define LOG2_E 1.44269504f

static void forward_head(const room *r, const tw_head_place *at, const tw_head_place *next, uint16_t *y, const uint16_t *qkv, float *log_sum)
{
    const size_t half = (size_t)r->width / 2, padded = (size_t)r->padded;
    const float scale = 1 / sqrtf((float)r->width);
    lay_rows(r->q, qkv + at->qkv, at->qkv_stride, r);
    lay_across(r->k_across, qkv + at->qkv + at->part, at->qkv_stride, r);
    lay_pairs(r->k_pairs, qkv + at->qkv + 2 * at->part, at->qkv_stride, r);
    for (int first = 0; first < r->T; first += ROWS) {
        const int n = (int)tw_min(ROWS, r->T - first), m = n > MR ? ROWS : MR;
        float factor[ROWS];
        for (size_t part = 0; part < 3; part++)
            fetch_rows(qkv + next->qkv + part * next->part, next->qkv_stride, first, n, r->width);
        product(r->s, padded, (left){r->q + (size_t)first * half, half, 1, m}, r->k_across, padded, r->padded, r->width / 2, false);
        for (int i = 0; i < n; i++) {
            float max;
            const float sum = probabilities(r->p_rows + (size_t)i * padded / 2, r->s + (size_t)i * padded, r->T, scale * LOG2_E, &max);
            factor[i] = 1 / sum;
            if (log_sum != NULL)
                log_sum[first + i] = max * scale + logf(sum);
        }
        product(r->out, (size_t)r->width, (left){r->p_rows, padded / 2, 1, m}, r->k_pairs, (size_t)r->width, r->width, r->padded / 2, false);
        put_rows(y + at->y + (size_t)first * at->y_stride, at->y_stride, r->out, factor, 1, n, r->width);
    }
}

int tw_attention_bf16_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv)
{
    room r;
    const size_t bytes = carve(&r, NULL, a, false);
    char *memory = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * bytes);
    if (memory == NULL)
        return -1;
#pragma omp parallel for schedule(static) private(r)
    for (int i = 0; i < a->N * a->heads; i++) {
        const tw_head_place at = tw_head_place_of(a, i), next = tw_head_place_of(a, (int)tw_min(i + 1, a->N * a->heads - 1));
        carve(&r, memory + (size_t)omp_get_thread_num() * bytes, a, false);
        forward_head(&r, &at, &next, y, qkv, a->train ? a->log_sum + (size_t)i * (size_t)a->T : NULL);
    }
    return 0;
}

TW_AVX512 static float dot_product(const uint16_t *a, const uint16_t *b, int n)
{
    __m512 sum = _mm512_setzero_ps();
    for (int c = 0; c < n; c += 2 * LANES)
        sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(a + c), (__m512bh)_mm512_loadu_si512(b + c));
    return _mm512_reduce_add_ps(sum);
}

/* Two rows (the second may be missing): p = 2^(scale s - less), dp = p (dp - dot). Stores p and dp as words that pair the two rows, and dp also in
 * each row's own words. */
TW_AVX512 static void backward_rows(uint32_t *p_pairs, uint32_t *dp_pairs, uint32_t *dp_rows, const float *s, const float *dp, size_t stride, int T,
                                    float scale, const float less[2], const float dot[2], bool two)
{
    static const uint16_t ups[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i up = _mm512_loadu_si512(ups);
    const __m512 by = _mm512_set1_ps(scale);
    for (int j = 0; j < T; j += LANES) {
        __m512 e[2], g[2];
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const __mmask16 lanes = i == 0 || two ? tw_first_lanes(T - j) : 0;
            e[i] = tw_exp2_lanes(lanes, _mm512_fmsub_ps(_mm512_loadu_ps(s + (size_t)i * stride + j), by, _mm512_set1_ps(less[i])));
            g[i] = _mm512_maskz_mul_ps(lanes, e[i], _mm512_sub_ps(_mm512_loadu_ps(dp + (size_t)i * stride + j), _mm512_set1_ps(dot[i])));
        }
        const __m512i p = (__m512i)_mm512_cvtne2ps_pbh(e[1], e[0]), gradient = (__m512i)_mm512_cvtne2ps_pbh(g[1], g[0]);
        _mm512_storeu_si512(p_pairs + j, _mm512_permutexvar_epi16(up, p));
        _mm512_storeu_si512(dp_pairs + j, _mm512_permutexvar_epi16(up, gradient));
        _mm256_storeu_si256((void *)(dp_rows + j / 2), _mm512_castsi512_si256(gradient));
        _mm256_storeu_si256((void *)(dp_rows + stride / 2 + j / 2), _mm512_extracti64x4_epi64(gradient, 1));
    }
}

/* Rows first .. first + n - 1 of the scores in the backward pass: computes dq, and adds their words to the block's. */
static void backward_scores(const room *r, const tw_head_place *at, uint16_t *dqkv, const uint16_t *dy, const uint16_t *y, const float *log_sum,
                            int first, int n, float scale)
{
    const size_t half = (size_t)r->width / 2, padded = (size_t)r->padded, from = (size_t)first * half;
    const int m = n > MR ? ROWS : MR;
    product(r->s, padded, (left){r->q + from, half, 1, m}, r->k_across, padded, r->padded, r->width / 2, false);
    product(r->dp, padded, (left){r->dy + from, half, 1, m}, r->v_across, padded, r->padded, r->width / 2, false);
    for (int i = 0; i < n; i += 2) {
        const int rows = i + 1 < n ? 2 : 1;
        float less[2] = {0}, dot[2] = {0};
        for (int k = 0; k < rows; k++) {
            const size_t row = at->y + (size_t)(first + i + k) * at->y_stride;
            less[k] = log_sum[first + i + k] * LOG2_E;
            dot[k] = dot_product(dy + row, y + row, r->width);
        }
        const size_t pair = (size_t)((first + i) % BLOCK / 2) * padded, scores = (size_t)i * padded;
        backward_rows(r->p_pairs + pair, r->dp_pairs + pair, r->p_rows + scores / 2, r->s + scores, r->dp + scores, padded, r->T, scale * LOG2_E,
                      less, dot, rows == 2);
    }
    product(r->out, (size_t)r->width, (left){r->p_rows, padded / 2, 1, m}, r->k_pairs, (size_t)r->width, r->width, r->padded / 2, false);
    put_rows(dqkv + at->qkv + (size_t)first * at->qkv_stride, at->qkv_stride, r->out, &scale, 0, n, r->width);
}

static void backward_head(const room *r, const tw_head_place *at, const tw_head_place *next, uint16_t *dqkv, const uint16_t *dy, const uint16_t *y,
                          const uint16_t *qkv, const float *log_sum)
{
    const size_t width = (size_t)r->width, stride = at->qkv_stride;
    const uint16_t *q = qkv + at->qkv, *k = q + at->part, *v = k + at->part;
    const float scale = 1 / sqrtf((float)r->width), one = 1;
    const int rows = (r->T + MR - 1) / MR * MR;
    lay_rows(r->q, q, stride, r);
    lay_pairs(r->q_pairs, q, stride, r);
    lay_across(r->k_across, k, stride, r);
    lay_pairs(r->k_pairs, k, stride, r);
    lay_across(r->v_across, v, stride, r);
    lay_rows(r->dy, dy + at->y, at->y_stride, r);
    lay_pairs(r->dy_pairs, dy + at->y, at->y_stride, r);
    for (int block = 0; block < r->T; block += BLOCK) {
        const int end = (int)tw_min(block + BLOCK, r->T);
        for (int first = block; first < end; first += ROWS) {
            const int n = (int)tw_min(ROWS, end - first);
            for (size_t part = 0; part < 3; part++)
                fetch_rows(qkv + next->qkv + part * next->part, stride, first, n, r->width);
            fetch_rows(dy + next->y, next->y_stride, first, n, r->width);
            fetch_rows(y + next->y, next->y_stride, first, n, r->width);
            backward_scores(r, at, dqkv, dy, y, log_sum, first, n, scale);
        }
        const size_t from = (size_t)block / 2 * width;
        const int pairs = (end - block + 1) / 2;
        product(r->dv, width, (left){r->p_pairs, 1, (size_t)r->padded, rows}, r->dy_pairs + from, width, r->width, pairs, block > 0);
        product(r->dk, width, (left){r->dp_pairs, 1, (size_t)r->padded, rows}, r->q_pairs + from, width, r->width, pairs, block > 0);
    }
    put_rows(dqkv + at->qkv + at->part, stride, r->dk, &scale, 0, r->T, r->width);
    put_rows(dqkv + at->qkv + 2 * at->part, stride, r->dv, &one, 0, r->T, r->width);
}

int tw_attention_bf16_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv)
{
    room r;
    const size_t bytes = carve(&r, NULL, a, true);
    char *memory = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * bytes);
    if (memory == NULL)
        return -1;
#pragma omp parallel for schedule(static) private(r)
    for (int i = 0; i < a->N * a->heads; i++) {
        const tw_head_place at = tw_head_place_of(a, i), next = tw_head_place_of(a, (int)tw_min(i + 1, a->N * a->heads - 1));
        carve(&r, memory + (size_t)omp_get_thread_num() * bytes, a, true);
        backward_head(&r, &at, &next, dqkv, dy, y, qkv, a->log_sum + (size_t)i * (size_t)a->T);
    }
    return 0;
}
#else
int tw_attention_bf16_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv)
{
    (void)d, (void)a, (void)y, (void)qkv;
    return -1;
}

int tw_attention_bf16_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv)
{
    (void)d, (void)a, (void)dqkv, (void)dy, (void)y, (void)qkv;
    return -1;
}
#endif
