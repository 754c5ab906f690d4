#include "eval/kmeans.h"

#include "core/mem.h"
#include "core/philox.h"
#include "eval/matrix.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = TW_MATRIX_COLUMNS, MOST_TRIES = 32, LEAST_SAMPLE = 16384, SAMPLE_PER_CENTRE = 16, LANES = 8 };

typedef struct {
    const float *x;   /* [n,D] */
    int64_t n;
    int D, tries;
    float *norm;      /* [n] */
    float *least;     /* [n]: squared distance to the nearest seed so far */
    float *distance;  /* [MOST_TRIES,n]: to the candidates */
    double *sum;      /* [n]: running sum of `least` */
    double *part;     /* [blocks,MOST_TRIES]: the sum of squared distances with each candidate */
    float *candidate; /* [MOST_TRIES,D] */
    int64_t row[MOST_TRIES];
    tw_panels panels; /* x packed, once for all seeds */
    tw_blocks *threads;
} seeding;

static int seeding_init(seeding *s)
{
    const size_t n = (size_t)s->n;
    s->norm = tw_calloc(n, sizeof *s->norm);
    s->least = tw_calloc(n, sizeof *s->least);
    s->distance = tw_calloc(n, MOST_TRIES * sizeof *s->distance);
    s->sum = tw_calloc(n, sizeof *s->sum);
    s->part = tw_calloc((size_t)tw_blocks_count(s->n, BLOCK), MOST_TRIES * sizeof *s->part);
    s->candidate = tw_calloc(MOST_TRIES, (size_t)s->D * sizeof *s->candidate);
    const bool ok = s->norm && s->least && s->distance && s->sum && s->part && s->candidate;
    if (!ok || tw_panels_init(&s->panels, (int)n, s->D, NULL) != 0)
        return -1;
    tw_panels_set(&s->panels, s->x, (size_t)s->D, 1, (int)n, s->D, s->threads);
    return 0;
}

static void seeding_fini(seeding *s)
{
    tw_panels_fini(&s->panels);
    free(s->norm);
    free(s->least);
    free(s->distance);
    free(s->sum);
    free(s->part);
    free(s->candidate);
}

/* Distances of BLOCK rows to all candidates, and the sum of squared distances with each. */
static void try_block(void *context, int block, int worker)
{
    (void)worker;
    seeding *s = context;
    const int64_t first = (int64_t)block * BLOCK;
    const int rows = (int)(s->n - first < BLOCK ? s->n - first : BLOCK);
    const tw_panels part = tw_panels_part(&s->panels, (int)first, rows);
    tw_product(s->distance + first, (size_t)s->n, s->candidate, (size_t)s->D, 1, s->tries, &part, false);
    for (int t = 0; t < s->tries; t++) {
        float *d = s->distance + t * s->n + first;
        const float *norm = s->norm + first, *least = s->least + first, own = s->norm[s->row[t]];
        double lane[LANES] = {0}, sum = 0;
        for (int i = 0; i < rows; i++) {
            d[i] = norm[i] + own - 2 * d[i];
            d[i] = d[i] > 0 ? d[i] : 0;
        }
        if (s->row[t] >= first && s->row[t] < first + rows)
            d[s->row[t] - first] = 0;
        for (int i = 0; i < rows; i++)
            lane[i % LANES] += d[i] < least[i] ? d[i] : least[i];
        for (int i = 0; i < LANES; i++)
            sum += lane[i];
        s->part[(size_t)block * MOST_TRIES + t] = sum;
    }
}

/* Evaluates the candidates s->row[0 .. tries-1] and makes the best one a seed. Returns its row. */
static int64_t take_best(seeding *s, int tries)
{
    const int blocks = tw_blocks_count(s->n, BLOCK);
    double left[MOST_TRIES] = {0};
    int best = 0;
    s->tries = tries;
    for (int t = 0; t < tries; t++)
        memcpy(s->candidate + (size_t)t * s->D, s->x + s->row[t] * s->D, (size_t)s->D * sizeof *s->x);
    tw_blocks_each(s->threads, blocks, try_block, s);
    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < tries; t++)
            left[t] += s->part[(size_t)b * MOST_TRIES + t];
    for (int t = 1; t < tries; t++)
        best = left[t] < left[best] ? t : best;
    for (int64_t i = 0; i < s->n; i++) {
        const float d = s->distance[best * s->n + i];
        s->least[i] = d < s->least[i] ? d : s->least[i];
    }
    return s->row[best];
}

/* Draws a row with probability proportional to its squared distance; any row if all distances are 0. */
static int64_t draw(const seeding *s, tw_rng *r)
{
    const double total = s->sum[s->n - 1], want = tw_rng_uniform(r) * total;
    if (!(total > 0))
        return (int64_t)tw_rng_below(r, (uint64_t)s->n);
    int64_t low = 0, high = s->n - 1; /* binary search for the first row whose running sum is beyond the drawn number */
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (s->sum[middle] > want)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void seed_all(seeding *s, float *centre, const tw_kmeans_options *o, int restart, tw_rng *r)
{
    const int K = o->K, tries = 2 + (int)log((double)K);
    for (int64_t i = 0; i < s->n; i++) {
        s->norm[i] = (float)tw_sum_squares(s->x + i * s->D, s->D);
        s->least[i] = FLT_MAX;
    }
    for (int k = 0; k < K; k++) {
        double sum = 0;
        for (int64_t i = 0; i < s->n && k > 0; i++)
            s->sum[i] = sum += s->least[i];
        const int n = k == 0 ? 1 : tries;
        for (int t = 0; t < n; t++)
            s->row[t] = k == 0 ? (int64_t)tw_rng_below(r, (uint64_t)s->n) : draw(s, r);
        memcpy(centre + (size_t)k * s->D, s->x + take_best(s, n) * s->D, (size_t)s->D * sizeof *centre);
        if (o->tell != NULL)
            o->tell(o, restart, -1, k + 1);
    }
}

/* m random rows of x, in their order (Knuth's algorithm S). */
static float *sample_rows(const float *x, int64_t n, int D, int64_t m, tw_rng *r)
{
    size_t size;
    float *y = tw_mul(&size, (size_t)m, (size_t)D) ? tw_calloc(size, sizeof *y) : NULL;
    for (int64_t i = 0, taken = 0; y != NULL && taken < m; i++)
        if (tw_rng_below(r, (uint64_t)(n - i)) < (uint64_t)(m - taken))
            memcpy(y + taken++ * D, x + i * D, (size_t)D * sizeof *y);
    return y;
}

int tw_kmeans_seed(float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o, int restart, tw_blocks *threads)
{
    const int64_t per = (int64_t)SAMPLE_PER_CENTRE * o->K, most = per > LEAST_SAMPLE ? per : LEAST_SAMPLE;
    tw_rng r;
    float *sample = NULL;
    tw_rng_init(&r, o->seed, TW_USE_KMEANS, (uint64_t)restart, 0, 0);
    if (n > most && (sample = sample_rows(x, n, D, most, &r)) == NULL)
        return -1;
    seeding s = {.x = sample != NULL ? sample : x, .n = sample != NULL ? most : n, .D = D, .threads = threads};
    const int rc = seeding_init(&s);
    if (rc == 0)
        seed_all(&s, centre, o, restart, &r);
    seeding_fini(&s);
    free(sample);
    return rc;
}
