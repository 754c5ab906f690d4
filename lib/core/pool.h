/* An ordered parallel map in bounded memory: jobs go in one by one, worker threads run them, results come out in the order
 * of the jobs, whatever -j is. Nothing else starts threads but the backends and MPI's queue. */
#ifndef TW_CORE_POOL_H
#define TW_CORE_POOL_H

#include <stdbool.h>

typedef struct tw_pool tw_pool;

/* Runs one job on a worker; worker is 0..threads-1, for scratch memory of its own. Failures travel inside the job. */
typedef void tw_pool_run(void *job, int worker, void *context);

/* threads workers, at most `depth` jobs between submit and take (depth >= threads; 0: 2 * threads + 2). Without workers (threads 0)
 * tw_pool_submit runs the job itself, as worker 0, which on a single processor saves the way through the caches and the scheduler.
 * NULL and tw_error() where threads cannot be started. */
tw_pool *tw_pool_new(int threads, int depth, tw_pool_run *run, void *context);

/* Whether depth jobs are under way, so that one must be taken before the next is submitted. */
bool tw_pool_full(const tw_pool *p);
/* Jobs submitted and not yet taken. */
int tw_pool_pending(const tw_pool *p);

/* Hands in a job; the pool must not be full. One thread submits and takes. */
void tw_pool_submit(tw_pool *p, void *job);

/* Waits for the oldest job and returns it; NULL if none is pending. */
void *tw_pool_take(tw_pool *p);
/* The oldest job if it is done already, else NULL: lets a caller hand on early results instead of waiting. */
void *tw_pool_take_ready(tw_pool *p);
/* The same without taking it. */
void *tw_pool_ready(tw_pool *p);

/* Waits for the workers and frees the pool; pending jobs are run and dropped (they stay the caller's). NULL is allowed. */
void tw_pool_free(tw_pool *p);

/* Processors this process may use (its affinity mask, and the cgroup's quota rounded up), at least 1. */
int tw_processors(void);

#endif
