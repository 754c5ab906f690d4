/* k nearest neighbours by cosine similarity, and their weighted vote, as in DINO's evaluation. Training rows are processed in chunks and not kept, so
 * memory does not depend on their number. */
#ifndef TW_EVAL_KNN_H
#define TW_EVAL_KNN_H

#include "eval/blocks.h"

#include <stdint.h>

enum { TW_KNN_CHUNK = 1024 }; /* training rows at a time */

typedef struct {
    int32_t row;  /* of the training set; INT32_MAX: none, as there are fewer than k */
    float cosine;
} tw_neighbour;

typedef struct tw_knn tw_knn;

/* A search for the k nearest rows of each query; query [nq,D], of unit length (tw_unit_rows), is borrowed until free. Memory: 8 k nq bytes, 4 KiB D
 * for a chunk, and 400 KiB per thread. NULL and tw_error(). */
tw_knn *tw_knn_new(const float *query, int64_t nq, int D, int k, tw_blocks *threads);

/* Adds the next n <= TW_KNN_CHUNK training rows x [n,D], of unit length; rows are numbered from 0 in the order added. 0, or -1 and tw_error(), also
 * beyond 2^31 - 2 rows. */
int tw_knn_add(tw_knn *s, const float *x, int n);

/* Returns near [nq,k], borrowed from s: each query's rows with the largest dot products, the largest first, of equal ones the lower row. Nothing may
 * be added afterwards. The same bits for any number of threads and any division into chunks, unless computed on a device. */
const tw_neighbour *tw_knn_finish(tw_knn *s);
void tw_knn_free(tw_knn *s); /* NULL is allowed */

/* Renumbers the labels in place, so that the C classes that occur in the training set (label [n]) are 0 .. C-1, in their order; queries' labels
 * (query [nq]) of other classes become C. Votes then cost time only for classes that can get one. Returns C, or -1 and tw_error(). */
int tw_knn_number(int32_t *label, int64_t n, int32_t *query, int64_t nq);

/* vote[c] = sum of exp((cosine - that of the nearest) / temperature) over those of the first k neighbours whose label is c; subtracting the nearest's
 * cosine avoids overflow. */
void tw_knn_vote(double *vote, int C, const tw_neighbour *near, int k, const int32_t *label, double temperature);

/* The rank of `label` by votes, from 0, of equal ones the lower class first; C if it has no vote. */
int tw_knn_rank(const double *vote, int C, int32_t label);

#endif
