#include "eval/knn.h"

#include "core/error.h"
#include "eval/matrix.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A block of queries against a chunk of the training rows at a time: the queries stay in the second-level cache while the
 * training set streams by once per block. */
enum { QUERIES = 64, CHUNK = 256 };

typedef struct {
    tw_neighbour *near;
    const float *x, *query;
    int64_t n, nq;
    int k, D;
} search;

/* Whether a is farther than b. */
static inline bool farther(tw_neighbour a, tw_neighbour b)
{
    return a.cosine < b.cosine || (a.cosine == b.cosine && a.row > b.row);
}

/* Lets the entry at the top of a heap (farthest first) of n entries down to its place. */
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

/* Offers the products of one query with m rows from `first` on. Rows come in rising order, so one that equals the farthest
 * entry stays out. */
static void offer(tw_neighbour *heap, int k, const float *product, int m, int64_t first)
{
    for (int j = 0; j < m; j++)
        if (product[j] > heap[0].cosine) {
            heap[0] = (tw_neighbour){(int32_t)(first + j), product[j]};
            sift(heap, k);
        }
}

static int nearest_first(const void *a, const void *b)
{
    const tw_neighbour p = *(const tw_neighbour *)a, q = *(const tw_neighbour *)b;
    return farther(p, q) - farther(q, p);
}

static void search_block(void *context, int block)
{
    const search *s = context;
    const int64_t first = (int64_t)block * QUERIES;
    const int nq = (int)(s->nq - first < QUERIES ? s->nq - first : QUERIES);
    tw_neighbour *near = s->near + first * s->k;
    float product[QUERIES * CHUNK];
    for (int64_t i = 0; i < (int64_t)nq * s->k; i++)
        near[i] = (tw_neighbour){INT32_MAX, -INFINITY};
    for (int64_t at = 0; at < s->n; at += CHUNK) {
        const int m = (int)(s->n - at < CHUNK ? s->n - at : CHUNK);
        tw_dot_rows(product, CHUNK, s->query + first * s->D, nq, s->x + at * s->D, m, s->D);
        for (int q = 0; q < nq; q++)
            offer(near + (int64_t)q * s->k, s->k, product + q * CHUNK, m, at);
    }
    for (int q = 0; q < nq; q++)
        qsort(near + (int64_t)q * s->k, (size_t)s->k, sizeof *near, nearest_first);
}

int tw_knn_search(tw_neighbour *near, int k, const float *x, int64_t n, const float *query, int64_t nq, int D, tw_blocks *threads)
{
    if (k < 1 || k > n)
        return tw_fail("%d neighbours of %lld rows", k, (long long)n);
    if (n >= INT32_MAX || nq >= INT32_MAX)
        return tw_fail("%lld rows are too many", (long long)(n > nq ? n : nq));
    search s = {near, x, query, n, nq, k, D};
    tw_blocks_each(threads, tw_blocks_count(nq, QUERIES), search_block, &s);
    return 0;
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
