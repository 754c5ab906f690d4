/* A memory budget for parallel jobs whose results are consumed in order. The oldest unfinished job is never refused; all later jobs
 * together stay within the budget and wait until their request fits. The oldest job can thus always finish: no deadlock, whatever the sizes. */
#ifndef TW_CORE_BUDGET_H
#define TW_CORE_BUDGET_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_budget tw_budget;

/* bytes: budget of all jobs except the oldest; depth: maximum number of jobs in progress at once. NULL and tw_error() on failure. */
tw_budget *tw_budget_new(size_t bytes, int depth);
void tw_budget_free(tw_budget *b); /* NULL is allowed */

/* Called by a worker: reserves `bytes` for job number `job` (0, 1, 2, ... in order), blocking as described above. A job's calls add up. */
void tw_budget_take(tw_budget *b, uint64_t job, size_t bytes);

/* The oldest job has been consumed: its memory is free, and the next job becomes the oldest. */
void tw_budget_done(tw_budget *b);

/* Releases all waiting workers and lets later requests pass: for shutdown after a failure, when tw_budget_done will not be called. */
void tw_budget_lift(tw_budget *b);

#endif
