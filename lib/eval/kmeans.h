/* k-means: Lloyd's algorithm from k-means++ seeds, the best of several restarts. */
#ifndef TW_EVAL_KMEANS_H
#define TW_EVAL_KMEANS_H

#include "eval/blocks.h"

#include <stdbool.h>
#include <stdint.h>

enum { TW_KMEANS_NEAR = 16 };

typedef struct tw_kmeans_options {
    int K, restarts, iterations; /* clusters; runs; most iterations of each */
    bool spherical;              /* rows have unit length (tw_unit_rows): centres are scaled to unit length too */
    uint64_t seed;
    /* Called after every assignment of the rows, restart and iteration counted from 0, with how many have moved; and after every seed, iteration -1,
     * with how many there are. NULL: nobody wants to know. */
    void (*tell)(const struct tw_kmeans_options *o, int restart, int iteration, int64_t number);
    int near; /* how many of the nearest centres are wanted in the end, up to TW_KMEANS_NEAR; 0: of none but the row's own */
} tw_kmeans_options;

typedef struct {
    int32_t *cluster; /* [n] */
    int32_t *near;    /* [n,o->near]: the nearest centres, the nearest first, of equal ones the lower; -1 beyond K. NULL: none wanted */
    float *centre;    /* [K,D] */
    double inertia;   /* sum of squared distances of the rows to their centres */
    int iterations;   /* of the run that was best */
    bool converged;   /* its last iteration changed nothing */
} tw_kmeans;

/* Clusters the rows of x [n,D], K <= n; memory beside that: (20 + 4 near) n + 12 K D bytes, for the seeds a copy of min(n, max(16384,
 * 16 K)) rows, 400 KiB a thread. Centred columns lose the least to rounding, and squared distances beyond f32's range mean nothing:
 * tw_features_centre sees to both. The same bits for any number of threads, where the products are not a device's (then the rows are copied
 * there too). 0, or -1 and tw_error(). Free with tw_kmeans_fini. */
int tw_kmeans_run(tw_kmeans *out, const float *x, int64_t n, int D, const tw_kmeans_options *o, tw_blocks *threads);

/* One run from given centres [K,D] (o->restarts and o->seed are not used; no iterations: they are the result's). A cluster that loses its last row
 * takes the row that is farthest from its centre, as scikit-learn does. */
int tw_kmeans_from(tw_kmeans *out, const float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o,
                   tw_blocks *threads);
void tw_kmeans_fini(tw_kmeans *k);

/* Seeds: o->K rows of x [n,D] by greedy k-means++ (Arthur and Vassilvitskii, 2007; of 2 + ln K candidates the one that lowers the
 * sum of squared distances most), drawn from a random sample of x where that is large. Numbers from (o->seed,
 * TW_USE_KMEANS, restart). 0, or -1 and tw_error(). */
int tw_kmeans_seed(float *centre, const float *x, int64_t n, int D, const tw_kmeans_options *o, int restart, tw_blocks *threads);

#endif
