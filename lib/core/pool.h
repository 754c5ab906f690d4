/* A thread pool with ordered results and a bounded number of jobs: jobs are submitted one by one, worker threads run them, and they
 * are taken back in the order of submission, for any number of threads. */
#ifndef TW_CORE_POOL_H
#define TW_CORE_POOL_H

#include <stdbool.h>

typedef struct tw_pool tw_pool;

/* Runs one job; worker (0..threads-1) selects per-thread scratch memory. A failure is recorded in the job. */
typedef void tw_pool_run(void *job, int worker, void *context);

/* Starts `threads` workers; at most `depth` jobs are submitted and not yet taken (depth >= threads; 0: 2 * threads + 2). With
 * threads 0, tw_pool_submit runs the job itself, as worker 0: on a single processor that avoids context switches and cache misses.
 * NULL and tw_error() if memory is short or a thread cannot be started. */
tw_pool *tw_pool_new(int threads, int depth, tw_pool_run *run, void *context);

/* Whether `depth` jobs are pending, so that one must be taken before the next is submitted. */
bool tw_pool_full(const tw_pool *p);
/* Jobs submitted and not yet taken. */
int tw_pool_pending(const tw_pool *p);

/* Submits a job; the pool must not be full. All calls on a pool come from one thread. */
void tw_pool_submit(tw_pool *p, void *job);

/* Waits for the oldest job and returns it; NULL if none is pending. */
void *tw_pool_take(tw_pool *p);
/* Takes the oldest job if it is done, else returns NULL, without waiting. */
void *tw_pool_take_ready(tw_pool *p);
/* The same, but leaves the job in the pool. */
void *tw_pool_ready(tw_pool *p);

/* Runs all pending jobs to their end, stops the workers and frees the pool; the jobs themselves stay the caller's. NULL is allowed. */
void tw_pool_free(tw_pool *p);

/* Number of processors this process may use (affinity mask; quota of cgroup v2, rounded up), at least 1. */
int tw_processors(void);

#endif
