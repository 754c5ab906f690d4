/* k-means: Lloyd's algorithm from k-means++ seeds, the best of several restarts. */
#ifndef TW_EVAL_KMEANS_H
#define TW_EVAL_KMEANS_H

#include "eval/blocks.h"

#include <stdbool.h>
#include <stdint.h>

enum { TW_KMEANS_NEAR = 16 };

typedef struct tw_kmeans_options {
    int K, restarts, iterations; /* clusters; runs; most iterations per run */
    bool spherical;              /* spherical k-means: rows have unit length (tw_unit_rows), centres are normalised too */
    uint64_t seed;
    /* Progress: called after every assignment, restart and iteration counted from 0, with how many rows have changed cluster; and after every seed,
     * iteration -1, with the number of seeds so far. NULL: not called. */
    void (*tell)(const struct tw_kmeans_options *o, int restart, int iteration, int64_t number);
    int near; /* how many nearest centres to return per row, at most TW_KMEANS_NEAR; 0: only the row's cluster */
} tw_kmeans_options;

typedef struct {
    int32_t *cluster; /* [n] */
    int32_t *near;    /* [n,o->near]: the nearest centres, the nearest first, of equal ones the lower; -1 if K < o->near. NULL: not wanted */
    float *centre;    /* [K,D] */
    double inertia;   /* sum of squared distances of the rows to their centres */
    int iterations;   /* of the best run */
    bool converged;   /* that run's last iteration changed nothing */
} tw_kmeans;

/* Clusters the rows of x [n,D], K <= n. Additional memory: (20 + 4 near) n + 12 K D bytes, for seeding a copy of min(n, max(16384, 16 K)) rows, and
 * 400 KiB per thread; with a device, the rows there too. For precision, columns should be centred and squared distances within f32's range:
 * see tw_features_centre. The same bits for any number of threads, unless a device computes the products. 0, or -1 and tw_error(). Free with
 * tw_kmeans_fini. */
int tw_kmeans_run(tw_kmeans *out, const float *x, int64_t n, int D, const tw_kmeans_options *o, tw_blocks *threads);

/* One run from given centres [K,D]; o->restarts and o->seed are not used; o->iterations 0: the result's centres are the given ones. A cluster that
 * becomes empty gets the row farthest from its centre, as in scikit-learn. 0, or -1 and tw_error(). Free with tw_kmeans_fini. */
int tw_kmeans_from(tw_kmeans *out, const float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o,
                   tw_blocks *threads);
void tw_kmeans_fini(tw_kmeans *k);

/* Sets centre [K,D] to o->K rows of x [n,D], chosen by greedy k-means++ (Arthur and Vassilvitskii, 2007; per seed the best of 2 + ln K candidates, by
 * the sum of squared distances), from a random sample of the rows if x is large. Random numbers from (o->seed, TW_USE_KMEANS, restart). 0, or -1
 * and tw_error(). */
int tw_kmeans_seed(float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o, int restart, tw_blocks *threads);

#endif
