/* The one-to-one assignment of rows to columns with the least total cost (Hungarian method; scipy's linear_sum_assignment). */
#ifndef TW_EVAL_ASSIGNMENT_H
#define TW_EVAL_ASSIGNMENT_H

#include <stdint.h>

/* cost: f64 [rows,cols], finite. to [rows]: the column of each row, or -1 for the rows left over if there are more rows than columns.
 * Time O(min^2 max). 0, or -1 and tw_error(). */
int tw_assign(int *to, const double *cost, int rows, int cols);

/* Matches clusters to classes one to one so that the most samples agree. to [K]: the class of each cluster, or -1. cluster, label [n]; samples with
 * numbers outside 0..K-1 and 0..C-1 are ignored. A cluster that has no sample of its matched class gets -1, as such a match is arbitrary.
 * 0, or -1 and tw_error(). */
int tw_match_classes(int *to, const int32_t *cluster, const int32_t *label, int64_t n, int K, int C);

#endif
