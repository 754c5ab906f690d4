/* Memory shared out among jobs whose results are wanted in order: a job waits until what it asks for fits, but the oldest one
 * never waits, so that work goes on whatever the sizes are. */
#ifndef TW_CORE_BUDGET_H
#define TW_CORE_BUDGET_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_budget tw_budget;

/* NULL and tw_error(). */
tw_budget *tw_budget_new(size_t bytes);
void tw_budget_free(tw_budget *b); /* NULL is allowed */

/* From a worker: takes so many bytes for the job of that number, waiting until they fit in what is left or all jobs before it are
 * done. Several calls of one job add up. */
void tw_budget_take(tw_budget *b, uint64_t job, size_t bytes);

/* Job number `job` is done with: in the order 0, 1, 2, ... Gives back what it took. */
void tw_budget_done(tw_budget *b, uint64_t job, size_t bytes);

#endif
