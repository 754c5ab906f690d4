/* Memory shared out among jobs whose results are wanted in order: the oldest job takes what it needs, the others wait until what they ask
 * for fits in what is set aside for them, so that work goes on whatever the sizes are. */
#ifndef TW_CORE_BUDGET_H
#define TW_CORE_BUDGET_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_budget tw_budget;

/* bytes: for all jobs but the oldest; depth: the most jobs under way at once. NULL and tw_error(). */
tw_budget *tw_budget_new(size_t bytes, int depth);
void tw_budget_free(tw_budget *b); /* NULL is allowed */

/* From a worker: takes so many bytes for the job of that number (0, 1, 2, ...), waiting as said above. Several calls of a job add up. */
void tw_budget_take(tw_budget *b, uint64_t job, size_t bytes);

/* The oldest job is done with: what it took is free. */
void tw_budget_done(tw_budget *b);

/* Nobody waits any more: for the end after a failure, when the oldest job will not be done with. */
void tw_budget_lift(tw_budget *b);

#endif
