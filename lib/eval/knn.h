/* k nearest neighbours by cosine, and their weighted vote, as DINO's evaluation does it. */
#ifndef TW_EVAL_KNN_H
#define TW_EVAL_KNN_H

#include "eval/blocks.h"

#include <stdint.h>

typedef struct {
    int32_t row;  /* of the training set */
    float cosine;
} tw_neighbour;

/* near[q,k]: for each of nq queries the k <= n training rows of the largest dot product, the largest first; of equal ones the
 * lower row. x: [n,D], query: [nq,D], rows of unit length (tw_unit_rows). The same bits for any number of threads. 0, or -1
 * and tw_error(). */
int tw_knn_search(tw_neighbour *near, int k, const float *x, int64_t n, const float *query, int64_t nq, int D, tw_blocks *threads);

/* vote[C] = sum over the first k neighbours of exp(cosine / temperature) for their label, relative to the nearest one's (so
 * that no temperature overflows). */
void tw_knn_vote(double *vote, int C, const tw_neighbour *near, int k, const int32_t *label, double temperature);

/* How many classes come before `label` in the order of votes, of equal ones the lower class first; C where it has no vote: a
 * class that nobody voted for is no answer. */
int tw_knn_rank(const double *vote, int C, int32_t label);

#endif
