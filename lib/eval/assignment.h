/* The one-to-one assignment of rows to columns of the least total cost (Hungarian method). */
#ifndef TW_EVAL_ASSIGNMENT_H
#define TW_EVAL_ASSIGNMENT_H

#include <stdint.h>

/* cost: f64 [rows,cols], finite. to[i]: the column of row i, or -1 where there are more rows than columns and row i has none;
 * min(rows, cols) rows have one. Time O(min^2 max). 0, or -1 and tw_error(). */
int tw_assign(int *to, const double *cost, int rows, int cols);

/* Matches clusters to classes so that most samples agree: to[K] is the class of each cluster or -1. Labels outside 0..K-1 and
 * 0..C-1 do not count. A cluster without a sample of its class gets none: such a match is arbitrary. 0, or -1 and tw_error(). */
int tw_match_classes(int *to, const int32_t *cluster, const int32_t *label, int64_t n, int K, int C);

#endif
