#include "eval/knn.h"

#include "core/error.h"
#include "core/mem.h"
#include "eval/matrix.h"
#include "eval/scores.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct tw_knn {
    tw_neighbour *near; /* [nq,k]: a heap per query, the farthest on top; sorted by finish */
    const float *query;
    int64_t nq, rows;
    int k, D;
    tw_panels chunk;
    float *product; /* [threads, TW_MATRIX_ROWS, TW_KNN_CHUNK] */
    tw_blocks *threads;
    tw_scores *scores; /* on a device: of the queries; NULL: on the threads */
    float *limit;      /* [nq]: cosine of each heap's farthest entry */
};

/* Whether a is farther than b. */
static inline bool farther(tw_neighbour a, tw_neighbour b)
{
    return a.cosine < b.cosine || (a.cosine == b.cosine && a.row > b.row);
}

/* Sifts the top entry of a heap of n entries (farthest on top) down to its place. */
static void sift(tw_neighbour *heap, int n)
{
    const tw_neighbour v = heap[0];
    int at = 0;
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && farther(heap[child + 1], heap[child]))
            child++;
        if (!farther(heap[child], v))
            break;
        heap[at] = heap[child];
    }
    heap[at] = v;
}

static inline void offer_one(tw_neighbour *heap, int k, float cosine, int64_t row)
{
    if (cosine > heap[0].cosine) {
        heap[0] = (tw_neighbour){(int32_t)row, cosine};
        sift(heap, k);
    }
}

/* Offers the products of one query with m rows, from `first` on, to its heap. Rows come in ascending order, so one that only equals the farthest
 * entry is not taken. */
static void offer(tw_neighbour *heap, int k, const float *product, int m, int64_t first)
{
    for (int j = 0; j < m; j++)
        offer_one(heap, k, product[j], first + j);
}

static int nearest_first(const void *a, const void *b)
{
    const tw_neighbour p = *(const tw_neighbour *)a, q = *(const tw_neighbour *)b;
    return farther(p, q) - farther(q, p);
}

tw_knn *tw_knn_new(const float *query, int64_t nq, int D, int k, tw_blocks *threads)
{
    size_t size;
    tw_knn *s = tw_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (tw_knn){.query = query, .nq = nq, .k = k, .D = D, .threads = threads};
    const tw_eval_device *device = tw_blocks_device(threads);
    if (device != NULL) {
        s->limit = tw_calloc((size_t)nq, sizeof *s->limit);
        s->scores = s->limit == NULL ? NULL : tw_scores_new(device, query, nq, D, TW_KNN_CHUNK);
    } else {
        s->product = tw_alloc64((size_t)tw_blocks_threads(threads) * TW_MATRIX_ROWS * TW_KNN_CHUNK * sizeof *s->product);
    }
    if (device != NULL ? s->scores == NULL : s->product == NULL || tw_panels_init(&s->chunk, TW_KNN_CHUNK, D, NULL) != 0)
        goto err;
    if (!tw_mul(&size, (size_t)nq, (size_t)k)) {
        tw_fail("%d neighbours of %lld queries are too many", k, (long long)nq);
        goto err;
    }
    if ((s->near = tw_calloc(size, sizeof *s->near)) == NULL)
        goto err;
    for (size_t i = 0; i < size; i++)
        s->near[i] = (tw_neighbour){INT32_MAX, -INFINITY};
    return s;
err:
    tw_knn_free(s);
    return NULL;
}

struct adding {
    tw_knn *s;
    int n;
};

static void add_block(void *context, int block, int worker)
{
    const struct adding *a = context;
    tw_knn *s = a->s;
    float *product = s->product + (size_t)worker * TW_MATRIX_ROWS * TW_KNN_CHUNK;
    const int64_t first = (int64_t)block * TW_MATRIX_ROWS;
    const int m = (int)(s->nq - first < TW_MATRIX_ROWS ? s->nq - first : TW_MATRIX_ROWS);
    tw_product(product, TW_KNN_CHUNK, s->query + (size_t)first * s->D, (size_t)s->D, 1, m, &s->chunk, false);
    for (int q = 0; q < m; q++)
        offer(s->near + (first + q) * s->k, s->k, product + (size_t)q * TW_KNN_CHUNK, a->n, s->rows);
}

/* A device's results for `rows` queries from `first` on. */
struct listed {
    tw_knn *s;
    int64_t first;
    int rows;
    const int64_t *start;
    const float *value;
    const int32_t *place;
};

static void offer_listed(void *context, int block, int worker)
{
    (void)worker;
    const struct listed *l = context;
    tw_knn *s = l->s;
    for (int q = block * TW_MATRIX_ROWS; q < l->rows && q < (block + 1) * TW_MATRIX_ROWS; q++)
        for (int64_t i = l->start[q]; i < l->start[q + 1]; i++)
            offer_one(s->near + (l->first + q) * s->k, s->k, l->value[i], s->rows + l->place[i]);
}

static void take_listed(void *context, int64_t first, int rows, const int64_t *start, const float *value, const int32_t *place)
{
    struct listed l = {context, first, rows, start, value, place};
    tw_blocks_each(l.s->threads, tw_blocks_count(rows, TW_MATRIX_ROWS), offer_listed, &l);
}

static int add_scores(tw_knn *s, const float *x, int n)
{
    for (int64_t q = 0; q < s->nq; q++)
        s->limit[q] = s->near[q * s->k].cosine;
    return tw_scores_set(s->scores, x, NULL, n) != 0 ? -1 : tw_scores_above(s->scores, s->limit, take_listed, s);
}

int tw_knn_add(tw_knn *s, const float *x, int n)
{
    struct adding a = {s, n};
    if (s->rows + n >= INT32_MAX)
        return tw_fail("more than %d training rows", INT32_MAX - 1);
    if (s->scores != NULL) {
        if (add_scores(s, x, n) != 0)
            return -1;
    } else {
        tw_panels_set(&s->chunk, x, (size_t)s->D, 1, n, s->D, s->threads);
        tw_blocks_each(s->threads, tw_blocks_count(s->nq, TW_MATRIX_ROWS), add_block, &a);
    }
    s->rows += n;
    return 0;
}

static void sort_block(void *context, int block, int worker)
{
    (void)worker;
    const tw_knn *s = context;
    for (int64_t q = (int64_t)block * TW_MATRIX_ROWS; q < s->nq && q < (int64_t)(block + 1) * TW_MATRIX_ROWS; q++)
        qsort(s->near + q * s->k, (size_t)s->k, sizeof *s->near, nearest_first);
}

const tw_neighbour *tw_knn_finish(tw_knn *s)
{
    tw_blocks_each(s->threads, tw_blocks_count(s->nq, TW_MATRIX_ROWS), sort_block, s);
    return s->near;
}

void tw_knn_free(tw_knn *s)
{
    if (s == NULL)
        return;
    tw_panels_fini(&s->chunk);
    tw_scores_free(s->scores);
    free(s->limit);
    free(s->product);
    free(s->near);
    free(s);
}

static int compare_labels(const void *a, const void *b)
{
    const int32_t p = *(const int32_t *)a, q = *(const int32_t *)b;
    return (p > q) - (p < q);
}

/* Replaces each label by its index in the sorted class [C]; C if it is not there. */
static void number(int32_t *label, int64_t n, const int32_t *class, int C)
{
    for (int64_t i = 0; i < n; i++) {
        const int32_t *at = bsearch(&label[i], class, (size_t)C, sizeof *class, compare_labels);
        label[i] = at != NULL ? (int32_t)(at - class) : C;
    }
}

int tw_knn_number(int32_t *label, int64_t n, int32_t *query, int64_t nq)
{
    int32_t *class = tw_calloc((size_t)n, sizeof *class);
    int C = 0;
    if (class == NULL)
        return -1;
    if (n > 0)
        memcpy(class, label, (size_t)n * sizeof *class);
    qsort(class, (size_t)n, sizeof *class, compare_labels);
    for (int64_t i = 0; i < n; i++)
        if (C == 0 || class[i] != class[C - 1])
            class[C++] = class[i];
    number(label, n, class, C);
    number(query, nq, class, C);
    free(class);
    return C;
}

void tw_knn_vote(double *vote, int C, const tw_neighbour *near, int k, const int32_t *label, double temperature)
{
    memset(vote, 0, (size_t)C * sizeof *vote);
    for (int i = 0; i < k; i++)
        vote[label[near[i].row]] += exp(((double)near[i].cosine - near[0].cosine) / temperature);
}

int tw_knn_rank(const double *vote, int C, int32_t label)
{
    int before = 0;
    if (label >= C || !(vote[label] > 0))
        return C;
    for (int c = 0; c < C; c++)
        before += vote[c] > vote[label] || (vote[c] == vote[label] && c < label);
    return before;
}
