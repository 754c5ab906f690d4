/* k nearest neighbours by cosine, and their weighted vote, as DINO's evaluation does it. The training rows go by once, in
 * chunks, and are not kept: memory does not depend on how many there are. */
#ifndef TW_EVAL_KNN_H
#define TW_EVAL_KNN_H

#include "eval/blocks.h"

#include <stdint.h>

enum { TW_KNN_CHUNK = 1024 }; /* training rows at a time */

typedef struct {
    int32_t row;  /* of the training set; INT32_MAX where fewer than k rows went by */
    float cosine;
} tw_neighbour;

typedef struct tw_knn tw_knn;

/* A search for the k nearest rows of each of nq queries [nq,D] (rows of unit length, tw_unit_rows; borrowed until the end).
 * Memory: 8 k nq bytes, 4 KiB D for the chunk and 400 KiB a thread. NULL and tw_error(). */
tw_knn *tw_knn_new(const float *query, int64_t nq, int D, int k, tw_blocks *threads);

/* Lets the next n training rows x [n,D] of unit length go by, n <= TW_KNN_CHUNK; rows are numbered from 0 on. 0, or -1 and
 * tw_error() beyond 2^31 - 2 rows. */
int tw_knn_add(tw_knn *s, const float *x, int n);

/* near[nq,k]: for each query the rows of the largest dot products, the largest first; of equal ones the lower row. The same
 * bits for any number of threads and any cutting into chunks, where they are not computed on a device. Borrowed from s; nothing may be added any
 * more. */
const tw_neighbour *tw_knn_finish(tw_knn *s);
void tw_knn_free(tw_knn *s); /* NULL is allowed */

/* Numbers the classes of the training set's labels [n] anew, from 0 on in their order, in them and in the queries' [nq], where a class
 * that the training set has not is C: votes and ranks take time for classes that can have one only. Returns C, or -1 and tw_error(). */
int tw_knn_number(int32_t *label, int64_t n, int32_t *query, int64_t nq);

/* vote[C] = sum over the first k neighbours of exp(cosine / temperature) for their label, relative to the nearest one's (so
 * that no temperature overflows). */
void tw_knn_vote(double *vote, int C, const tw_neighbour *near, int k, const int32_t *label, double temperature);

/* How many classes come before `label` in the order of votes, of equal ones the lower class first; C where it has no vote: a
 * class that nobody voted for is no answer. */
int tw_knn_rank(const double *vote, int C, int32_t label);

#endif
