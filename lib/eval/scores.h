/* On a device: products of fixed rows x, which stay there, with other rows b, and the search for the largest. Sums are f32 in the device's order, so
 * the last bits may differ from matrix.h's. */
#ifndef TW_EVAL_SCORES_H
#define TW_EVAL_SCORES_H

#include "eval/device.h"

#include <stdint.h>

typedef struct tw_scores tw_scores;

/* x [n,D] is copied to the device; K: most other rows at a time. Device memory: 4 n D + 4 K D bytes, and a few times up to 256 MiB. NULL and
 * tw_error(). */
tw_scores *tw_scores_new(const tw_eval_device *d, const float *x, int64_t n, int D, int K);
void tw_scores_free(tw_scores *s); /* NULL is allowed */

/* Sets the other rows, b [k,D], k <= K, and what is added to each one's products, plus [k] or NULL (0). 0, or -1 and tw_error(). */
int tw_scores_set(tw_scores *s, const float *b, const float *plus, int k);

/* For each row of x the m other rows with the largest scores x b + plus, the largest first, of equal ones the lower: place [n,m], -1 if there are
 * fewer; value [n,m], their scores, or NULL: not wanted. All K other rows must be set. 0, or -1 and tw_error(). */
int tw_scores_largest(tw_scores *s, int32_t *place, float *value, int m);

/* Passes all scores above limit [n] to take, some rows of x at a time: those of row first + i, i < rows, are value[j] of the other row place[j],
 * start[i] <= j < start[i+1], in ascending place. 0, or -1 and tw_error(). */
typedef void tw_scores_take(void *context, int64_t first, int rows, const int64_t *start, const float *value, const int32_t *place);
int tw_scores_above(tw_scores *s, const float *limit, tw_scores_take *take, void *context);

#endif
