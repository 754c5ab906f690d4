#include "eval/scores.h"

#include "core/error.h"
#include "core/mem.h"
#include "nn/backend.h"

#include <stdlib.h>

enum { MOST_ROWS = 16384 };
static const int64_t MOST_SCORES = (int64_t)64 << 20;

struct tw_scores {
    const tw_backend *be;
    tw_dev *dev;
    int64_t n;
    int D, K, k, rows;     /* rows: how many rows of x at a time */
    tw_linear *product;    /* [rows,D] by [K,D] */
    float *x, *b, *plus;   /* [n,D], padded with zeros to a multiple of `rows`; [K,D]; [K] */
    float *score;          /* [rows,K] */
    float *limit;          /* [n], padded as x */
    int32_t *count, *host_count;
    int64_t *start, *host_start;
    float *value, *host_value; /* room for the results */
    int32_t *place, *host_place;
    size_t room, host_room[2];
};

static int64_t padded(const tw_scores *s)
{
    return (s->n + s->rows - 1) / s->rows * s->rows;
}

static void *memory(const tw_scores *s, size_t n, size_t size)
{
    size_t bytes;
    if (!tw_mul(&bytes, n, size)) {
        tw_fail("%lld rows of %d features are too many", (long long)s->n, s->D);
        return NULL;
    }
    void *p = s->be->alloc(s->dev, bytes);
    if (p == NULL)
        tw_backend_failed(s->be);
    return p;
}

static int allocate(tw_scores *s, const float *x)
{
    const size_t all = (size_t)padded(s), D = (size_t)s->D, K = (size_t)s->K, rows = (size_t)s->rows;
    s->host_count = tw_calloc(rows, sizeof *s->host_count);
    s->host_start = tw_calloc(rows + 1, sizeof *s->host_start);
    if (s->host_count == NULL || s->host_start == NULL || (s->x = memory(s, all, D * sizeof(float))) == NULL ||
        (s->b = memory(s, K, D * sizeof(float))) == NULL || (s->plus = memory(s, K, sizeof(float))) == NULL ||
        (s->score = memory(s, rows, K * sizeof(float))) == NULL || (s->limit = memory(s, all, sizeof(float))) == NULL ||
        (s->count = memory(s, rows, sizeof *s->count)) == NULL || (s->start = memory(s, rows + 1, sizeof *s->start)) == NULL)
        return -1;
    s->product = s->be->linear_new(s->dev, s->rows, s->D, s->K, false);
    if (s->product == NULL)
        return tw_backend_failed(s->be);
    return TW_BACKEND(s->be, s->be->upload(s->dev, s->x, x, (size_t)s->n * D * sizeof *x));
}

tw_scores *tw_scores_new(const tw_eval_device *d, const float *x, int64_t n, int D, int K)
{
    tw_scores *s = tw_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    const int64_t most = MOST_SCORES / K < 1 ? 1 : MOST_SCORES / K < MOST_ROWS ? MOST_SCORES / K : MOST_ROWS;
    *s = (tw_scores){.be = d->be, .dev = d->dev, .n = n, .D = D, .K = K, .rows = (int)(n < most ? n : most)};
    if (allocate(s, x) == 0)
        return s;
    tw_scores_free(s);
    return NULL;
}

void tw_scores_free(tw_scores *s)
{
    if (s == NULL)
        return;
    void *const block[] = {s->x, s->b, s->plus, s->score, s->limit, s->count, s->start, s->value, s->place};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        s->be->release(s->dev, block[i]);
    s->be->linear_free(s->product);
    free(s->host_count);
    free(s->host_start);
    free(s->host_value);
    free(s->host_place);
    free(s);
}

int tw_scores_set(tw_scores *s, const float *b, const float *plus, int k)
{
    s->k = k;
    if (plus != NULL && TW_BACKEND(s->be, s->be->upload(s->dev, s->plus, plus, (size_t)k * sizeof *plus)) != 0)
        return -1;
    if (TW_BACKEND(s->be, s->be->upload(s->dev, s->b, b, (size_t)k * (size_t)s->D * sizeof *b)) != 0)
        return -1;
    return TW_BACKEND(s->be, s->be->linear_weights(s->product, s->b, s->plus));
}

/* Makes room for n results. 0, or -1 and tw_error(). */
static int make_room(tw_scores *s, size_t n)
{
    if (n <= s->room)
        return 0;
    s->be->release(s->dev, s->value);
    s->be->release(s->dev, s->place);
    s->room = 0;
    s->place = NULL;
    if ((s->value = memory(s, n, sizeof *s->value)) == NULL || (s->place = memory(s, n, sizeof *s->place)) == NULL)
        return -1;
    s->room = n;
    return 0;
}

/* Computes the scores of `rows` rows of x from `first` on. */
static int multiply(tw_scores *s, int64_t first)
{
    return TW_BACKEND(s->be, s->be->linear_forward(s->product, s->score, s->x + (size_t)first * (size_t)s->D));
}

int tw_scores_largest(tw_scores *s, int32_t *place, float *value, int m)
{
    const size_t n = (size_t)s->n * (size_t)m, most = (size_t)m;
    if (make_room(s, (size_t)padded(s) * most) != 0)
        return -1;
    for (int64_t first = 0; first < s->n; first += s->rows) {
        const size_t at = (size_t)first * most;
        if (multiply(s, first) != 0 ||
            TW_BACKEND(s->be, s->be->largest(s->dev, s->value + at, s->place + at, s->score, s->rows, s->K, m)) != 0)
            return -1;
    }
    if (value != NULL && TW_BACKEND(s->be, s->be->download(s->dev, value, s->value, n * sizeof *value)) != 0)
        return -1;
    return TW_BACKEND(s->be, s->be->download(s->dev, place, s->place, n * sizeof *place));
}

/* Fetches the scores that count_above has counted in `rows` rows; returns their number, or -1 and tw_error(). */
static int64_t list(tw_scores *s, int64_t first, int rows)
{
    const tw_backend *be = s->be;
    if (TW_BACKEND(be, be->count_above(s->dev, s->count, s->score, s->K, s->limit + first, rows, s->k)) != 0 ||
        TW_BACKEND(be, be->download(s->dev, s->host_count, s->count, (size_t)rows * sizeof *s->count)) != 0)
        return -1;
    for (int i = 0; i < rows; i++)
        s->host_start[i + 1] = s->host_start[i] + s->host_count[i];
    const size_t all = (size_t)s->host_start[rows];
    if (all == 0)
        return 0;
    if (make_room(s, all) != 0 || tw_grow(&s->host_value, &s->host_room[0], all, sizeof *s->host_value) != 0 ||
        tw_grow(&s->host_place, &s->host_room[1], all, sizeof *s->host_place) != 0 ||
        TW_BACKEND(be, be->upload(s->dev, s->start, s->host_start, ((size_t)rows + 1) * sizeof *s->start)) != 0 ||
        TW_BACKEND(be, be->list_above(s->dev, s->value, s->place, s->start, s->score, s->K, s->limit + first, rows, s->k)) != 0 ||
        TW_BACKEND(be, be->download(s->dev, s->host_value, s->value, all * sizeof *s->value)) != 0 ||
        TW_BACKEND(be, be->download(s->dev, s->host_place, s->place, all * sizeof *s->place)) != 0)
        return -1;
    return (int64_t)all;
}

int tw_scores_above(tw_scores *s, const float *limit, tw_scores_take *take, void *context)
{
    if (TW_BACKEND(s->be, s->be->upload(s->dev, s->limit, limit, (size_t)s->n * sizeof *limit)) != 0)
        return -1;
    for (int64_t first = 0; first < s->n; first += s->rows) {
        const int rows = (int)(s->n - first < s->rows ? s->n - first : s->rows);
        const int64_t found = multiply(s, first) != 0 ? -1 : list(s, first, rows);
        if (found < 0)
            return -1;
        if (found > 0)
            take(context, first, rows, s->host_start, s->host_value, s->host_place);
    }
    return 0;
}
