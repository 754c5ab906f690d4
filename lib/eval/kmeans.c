#include "eval/kmeans.h"

#include "core/error.h"
#include "core/mem.h"
#include "eval/matrix.h"
#include "eval/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sizes of jobs: ROWS rows by CENTRES centres; sums of STRIP columns, of PART rows. Rows are prefetched AHEAD rows before they are summed. */
enum { ROWS = TW_MATRIX_ROWS, CENTRES = TW_MATRIX_COLUMNS, STRIP = 128, PART = 1024, AHEAD = 8, LINE = 16 };

/* Search for the nearest centres: as |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2), they have the largest scores x c - |c|^2 / 2. */
typedef struct {
    const float *x;
    int64_t n;
    int D, K, m;
    tw_panels centre;
    float *half;    /* [K]: |c|^2 / 2; zeros if all centres have unit length */
    int32_t *near;  /* [n,m] */
    float *score;   /* [n]: of the nearest, if m is 1 */
    float *product; /* [threads, ROWS, CENTRES] */
    tw_blocks *threads;
    tw_scores *scores; /* on a device: of x; NULL: on the threads */
    bool failed;       /* the device failed */
} nearest;

static void nearest_fini(nearest *s)
{
    tw_panels_fini(&s->centre);
    tw_scores_free(s->scores);
    free(s->half);
    free(s->product);
}

static int nearest_init(nearest *s, const float *x, int64_t n, int D, int K, tw_blocks *threads)
{
    *s = (nearest){.x = x, .n = n, .D = D, .K = K, .threads = threads};
    s->half = tw_calloc((size_t)K, sizeof *s->half);
    if (tw_blocks_device(threads) != NULL) {
        s->scores = s->half == NULL ? NULL : tw_scores_new(tw_blocks_device(threads), x, n, D, K);
        if (s->scores != NULL)
            return 0;
    } else {
        s->product = tw_alloc64((size_t)tw_blocks_threads(threads) * ROWS * CENTRES * sizeof *s->product);
        if (s->half != NULL && s->product != NULL && tw_panels_init(&s->centre, K, D, NULL) == 0)
            return 0;
    }
    nearest_fini(s);
    return -1;
}

/* Merges the scores of n centres, from `first` on, into a row's list of the best m. Centres come in ascending order, so that of equal ones the lower
 * comes first. */
static void offer(float *best, int32_t *near, int m, const float *product, const float *half, int n, int first)
{
    for (int j = 0; j < n; j++) {
        const float score = product[j] - half[j];
        if (!(score > best[m - 1]))
            continue;
        int at = m - 1;
        for (; at > 0 && score > best[at - 1]; at--) {
            best[at] = best[at - 1];
            near[at] = near[at - 1];
        }
        best[at] = score;
        near[at] = first + j;
    }
}

static void nearest_block(void *context, int block, int worker)
{
    const nearest *s = context;
    const int64_t first = (int64_t)block * ROWS;
    const int rows = (int)(s->n - first < ROWS ? s->n - first : ROWS);
    float *product = s->product + (size_t)worker * ROWS * CENTRES, best[ROWS][TW_KMEANS_NEAR];
    int32_t *near = s->near + first * s->m;
    if (s->m == 1) {
        tw_product_largest(near, s->score + first, product, s->x + first * s->D, rows, &s->centre, s->half);
        return;
    }
    for (int i = 0; i < rows * s->m; i++) {
        best[i / s->m][i % s->m] = -INFINITY;
        near[i] = -1;
    }
    for (int c = 0; c < s->K; c += CENTRES) {
        const int n = s->K - c < CENTRES ? s->K - c : CENTRES;
        const tw_panels part = tw_panels_part(&s->centre, c, n);
        tw_product(product, CENTRES, s->x + (size_t)first * s->D, (size_t)s->D, 1, rows, &part, false);
        for (int i = 0; i < rows; i++)
            offer(best[i], near + (size_t)i * s->m, s->m, product + (size_t)i * CENTRES, s->half + c, n, c);
    }
}

static void find_nearest(nearest *s, int32_t *near, int m, const float *centre, bool spherical)
{
    s->near = near;
    s->m = m;
    for (int k = 0; k < s->K && !spherical; k++)
        s->half[k] = (float)(tw_sum_squares(centre + (size_t)k * s->D, s->D) / 2);
    if (s->scores != NULL) {
        for (int k = 0; k < s->K; k++)
            s->half[k] = -s->half[k];
        s->failed = s->failed || tw_scores_set(s->scores, centre, s->half, s->K) != 0 ||
                    tw_scores_largest(s->scores, near, m == 1 ? s->score : NULL, m) != 0;
    } else {
        tw_panels_set(&s->centre, centre, (size_t)s->D, 1, s->K, s->D, s->threads);
        tw_blocks_each(s->threads, tw_blocks_count(s->n, ROWS), nearest_block, s);
    }
    for (int64_t i = 0; i < s->n; i++) /* all scores are NaN: any existing centre will do */
        near[i * m] = near[i * m] < 0 ? 0 : near[i * m];
}

/* A run of Lloyd's algorithm. */
typedef struct {
    nearest near;
    bool spherical;
    float *centre;      /* [K,D] */
    int32_t *cluster;   /* [n]: the assignment of which the centres are the means */
    int32_t *found;     /* [n]: the new assignment */
    int32_t *nearest;   /* [n,o->near]: the result; NULL: not wanted */
    float *score;       /* [n] */
    int64_t *start;     /* [K+1]: members of cluster k are member[start[k] .. start[k+1]) */
    int32_t *member;    /* [n] */
    double *part;       /* partial sums */
} lloyd;

static void lloyd_fini(lloyd *l)
{
    nearest_fini(&l->near);
    free(l->centre);
    free(l->cluster);
    free(l->found);
    free(l->nearest);
    free(l->score);
    free(l->start);
    free(l->member);
    free(l->part);
}

static int lloyd_init(lloyd *l, const float *x, int64_t n, int D, const tw_kmeans_options *o, tw_blocks *threads)
{
    size_t size;
    *l = (lloyd){.spherical = o->spherical};
    if (o->K < 1 || o->K > n)
        return tw_fail("%d clusters of %lld rows", o->K, (long long)n);
    if (o->near < 0 || o->near > TW_KMEANS_NEAR)
        return tw_fail("%d nearest centres: want 0 to %d", o->near, TW_KMEANS_NEAR);
    if (n > INT32_MAX)
        return tw_fail("%lld rows are too many", (long long)n);
    if (!tw_mul(&size, (size_t)o->K, (size_t)D))
        return tw_fail("%d centres of %d features are too many", o->K, D);
    if (nearest_init(&l->near, x, n, D, o->K, threads) != 0)
        return -1;
    l->centre = tw_calloc(size, sizeof *l->centre);
    l->cluster = tw_calloc((size_t)n, sizeof *l->cluster);
    l->found = tw_calloc((size_t)n, sizeof *l->found);
    l->nearest = o->near > 0 ? tw_calloc((size_t)n, (size_t)o->near * sizeof *l->nearest) : NULL;
    l->score = tw_calloc((size_t)n, sizeof *l->score);
    l->start = tw_calloc((size_t)o->K + 2, sizeof *l->start);
    l->member = tw_calloc((size_t)n, sizeof *l->member);
    l->part = tw_calloc((size_t)tw_blocks_count(n, PART), sizeof *l->part);
    l->near.score = l->score;
    if (l->centre && l->cluster && l->found && (l->nearest || o->near == 0) && l->score && l->start && l->member && l->part)
        return 0;
    lloyd_fini(l);
    return -1;
}

/* Squared distance of row i to its centre. */
static double distance(const lloyd *l, int64_t i)
{
    const float *x = l->near.x + i * l->near.D, *c = l->centre + (size_t)l->cluster[i] * l->near.D;
    double s = 0;
    for (int d = 0; d < l->near.D; d++)
        s += ((double)x[d] - c[d]) * ((double)x[d] - c[d]);
    return s;
}

/* The row farthest from its centre among clusters of several rows, by l->score; -1 if all lie on their centres. */
static int64_t farthest(const lloyd *l, const int64_t *count)
{
    int64_t at = -1;
    for (int64_t i = 0; i < l->near.n; i++)
        if (count[l->cluster[i]] > 1 && (at < 0 || l->score[i] > l->score[at]))
            at = i;
    return at >= 0 && distance(l, at) > 0 ? at : -1;
}

/* Moves to every empty cluster the row that is farthest from its centre. */
static void fill_empty(lloyd *l)
{
    int64_t *count = l->start, empty = 0;
    memset(count, 0, (size_t)l->near.K * sizeof *count);
    for (int64_t i = 0; i < l->near.n; i++)
        count[l->cluster[i]]++;
    for (int k = 0; k < l->near.K; k++)
        empty += count[k] == 0;
    for (int64_t i = 0; i < l->near.n && empty > 0; i++) /* from here on score is the squared distance */
        l->score[i] = (float)(tw_sum_squares(l->near.x + i * l->near.D, l->near.D) - 2 * (double)l->score[i]);
    for (int k = 0; k < l->near.K && empty > 0; k++) {
        if (count[k] > 0)
            continue;
        const int64_t i = farthest(l, count);
        if (i < 0)
            return;
        count[l->cluster[i]]--;
        count[k]++;
        l->cluster[i] = k;
    }
}

/* Lists the rows by cluster, in ascending order. */
static void list_members(lloyd *l)
{
    memset(l->start, 0, ((size_t)l->near.K + 2) * sizeof *l->start);
    for (int64_t i = 0; i < l->near.n; i++)
        l->start[l->cluster[i] + 2]++;
    for (int k = 0; k < l->near.K; k++)
        l->start[k + 2] += l->start[k + 1];
    for (int64_t i = 0; i < l->near.n; i++)
        l->member[l->start[l->cluster[i] + 1]++] = (int32_t)i;
}

/* The mean of one cluster's rows over STRIP columns, summed in the rows' order; an empty cluster's centre stays. */
static void mean_block(void *context, int block, int worker)
{
    (void)worker;
    lloyd *l = context;
    const int D = l->near.D, strips = tw_blocks_count(D, STRIP), k = block / strips, d = block % strips * STRIP;
    const int width = D - d < STRIP ? D - d : STRIP;
    const int64_t from = l->start[k], to = l->start[k + 1];
    double sum[STRIP] = {0};
    for (int64_t i = from; i < to; i++) {
        const float *x = l->near.x + (size_t)l->member[i] * D + d;
        for (int j = 0; j < width && i + AHEAD < to; j += LINE) /* rows at random addresses, which the hardware cannot prefetch */
            __builtin_prefetch(l->near.x + (size_t)l->member[i + AHEAD] * D + d + j);
        for (int j = 0; j < width; j++)
            sum[j] += x[j];
    }
    for (int j = 0; j < width && to > from; j++)
        l->centre[(size_t)k * D + d + j] = (float)(sum[j] / (double)(to - from));
}

static void move_centres(lloyd *l)
{
    fill_empty(l);
    list_members(l);
    tw_blocks_each(l->near.threads, l->near.K * tw_blocks_count(l->near.D, STRIP), mean_block, l);
    if (l->spherical)
        tw_unit_rows(l->centre, (size_t)l->near.K, l->near.D);
}

static void inertia_block(void *context, int block, int worker)
{
    (void)worker;
    const lloyd *l = context;
    double sum = 0;
    for (int64_t i = (int64_t)block * PART; i < l->near.n && i < (int64_t)(block + 1) * PART; i++)
        sum += distance(l, i);
    l->part[block] = sum;
}

static double inertia(lloyd *l)
{
    const int parts = tw_blocks_count(l->near.n, PART);
    double sum = 0;
    tw_blocks_each(l->near.threads, parts, inertia_block, l);
    for (int i = 0; i < parts; i++)
        sum += l->part[i];
    return sum;
}

/* Runs from l->centre; returns the number of iterations, negated if it has not converged. l->near.failed: the device failed. */
static int iterate(lloyd *l, const tw_kmeans_options *o, int restart)
{
    for (int it = 0; it < o->iterations; it++) {
        int64_t moved = 0;
        find_nearest(&l->near, l->found, 1, l->centre, l->spherical);
        if (l->near.failed)
            return 0;
        for (int64_t i = 0; i < l->near.n; i++)
            moved += it == 0 || l->found[i] != l->cluster[i];
        if (o->tell != NULL)
            o->tell(o, restart, it, moved);
        if (moved == 0) {
            if (o->near > 0)
                find_nearest(&l->near, l->nearest, o->near, l->centre, l->spherical);
            return it;
        }
        memcpy(l->cluster, l->found, (size_t)l->near.n * sizeof *l->cluster);
        move_centres(l);
    }
    find_nearest(&l->near, o->near > 0 ? l->nearest : l->cluster, o->near > 0 ? o->near : 1, l->centre, l->spherical);
    for (int64_t i = 0; i < l->near.n && o->near > 0; i++)
        l->cluster[i] = l->nearest[i * o->near];
    return -o->iterations;
}

/* Moves the run's result to *out if it is better. */
static void keep(tw_kmeans *out, lloyd *l, int iterations)
{
    const double sum = inertia(l);
    if (out->cluster != NULL && !(sum < out->inertia))
        return;
    tw_kmeans_fini(out);
    *out = (tw_kmeans){l->cluster, l->nearest, l->centre, sum, abs(iterations), iterations >= 0};
    l->cluster = l->nearest = NULL;
    l->centre = NULL;
}

/* One run from the given centres, or NULL: from seeds; the best result so far stays in *out. 0, or -1 and tw_error(). */
static int run(tw_kmeans *out, const float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o, int restart, tw_blocks *threads)
{
    lloyd l;
    int rc = -1;
    if (lloyd_init(&l, x, n, D, o, threads) != 0)
        return -1;
    if (centre != NULL)
        memcpy(l.centre, centre, (size_t)o->K * D * sizeof *centre);
    else if (tw_kmeans_seed(l.centre, x, n, D, o, restart, threads) != 0)
        goto done;
    const int iterations = iterate(&l, o, restart);
    if (!l.near.failed) {
        keep(out, &l, iterations);
        rc = 0;
    }
done:
    lloyd_fini(&l);
    return rc;
}

int tw_kmeans_from(tw_kmeans *out, const float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o,
                   tw_blocks *threads)
{
    *out = (tw_kmeans){0};
    return run(out, centre, x, n, D, o, 0, threads);
}

int tw_kmeans_run(tw_kmeans *out, const float *x, int64_t n, int D, const tw_kmeans_options *o, tw_blocks *threads)
{
    *out = (tw_kmeans){0};
    int rc = 0;
    for (int r = 0; r < o->restarts && rc == 0; r++)
        rc = run(out, NULL, x, n, D, o, r, threads);
    if (rc != 0)
        tw_kmeans_fini(out);
    return rc;
}

void tw_kmeans_fini(tw_kmeans *k)
{
    free(k->cluster);
    free(k->near);
    free(k->centre);
    *k = (tw_kmeans){0};
}
