/* On a device: the products of rows that stay there with other rows that come and go, and what is looked for among them. Sums are f32 in
 * an order of the device's: they may differ from matrix.h's in the last bits. */
#ifndef TW_EVAL_SCORES_H
#define TW_EVAL_SCORES_H

#include "eval/device.h"

#include <stdint.h>

typedef struct tw_scores tw_scores;

/* For the n rows of x [n,D], which are copied to the device, and up to K others at a time. Device memory: 4 n D bytes, 4 K D, and up to
 * 256 MiB a few times. NULL and tw_error(). */
tw_scores *tw_scores_new(const tw_eval_device *d, const float *x, int64_t n, int D, int K);
void tw_scores_free(tw_scores *s); /* NULL is allowed */

/* Sets the other rows, b [k,D], and what is added to each one's products: plus [k], or NULL. 0, or -1 and tw_error(). */
int tw_scores_set(tw_scores *s, const float *b, const float *plus, int k);

/* place [n,m], value [n,m]: for each row of x which m of the other rows have the largest scores x b + plus, the largest first, of equal
 * ones the lower; -1 where there are no more. All K other rows must be set. value NULL: nobody wants them. 0, or -1 and tw_error(). */
int tw_scores_largest(tw_scores *s, int32_t *place, float *value, int m);

/* Hands out the scores above limit [n], some rows of x at a time: those of row first + i are number start[i] .. start[i+1] - 1 of value
 * and place, places rising. 0, or -1 and tw_error(). */
typedef void tw_scores_take(void *context, int64_t first, int rows, const int64_t *start, const float *value, const int32_t *place);
int tw_scores_above(tw_scores *s, const float *limit, tw_scores_take *take, void *context);

#endif
