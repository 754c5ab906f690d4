/* An ordered stream of jobs through several threads in bounded memory. Unlike with core/pool.h there is no thread only for input and output:
 * each thread takes a job, runs it, and puts out what is finished, before it takes the next; a job's data stay in the caches of one processor.
 * Only one thread at a time takes, and only one puts; jobs are put in the order in which they were taken, for any number of threads. */
#ifndef TW_CORE_RELAY_H
#define TW_CORE_RELAY_H

#include <stdbool.h>
#include <stddef.h>

enum { TW_RELAY_END, TW_RELAY_JOB, TW_RELAY_LATER };

typedef struct {
    /* Fills in a job. Returns TW_RELAY_JOB, with *held (0 on entry) set to the bytes that the job holds until it has been put; TW_RELAY_END: no
     * more jobs; TW_RELAY_LATER: call again once all jobs taken so far have been put; or -1 and tw_error(). */
    int (*take)(void *job, size_t *held, void *context);
    /* Runs a job, concurrently with others; worker (0..threads-1) selects per-thread scratch memory. A failure is recorded in the job. */
    void (*run)(void *job, int worker, void *context);
    int (*put)(void *job, void *context); /* consumes a finished job. 0, or -1 and tw_error() */
    /* Whether take would find input without blocking; waits up to ms milliseconds for it. NULL: take is called without asking. */
    bool (*ready)(void *context, int ms);
    int (*flush)(void *context); /* called when all jobs have been put and input is awaited. 0, or -1 and tw_error(). NULL: nothing to flush */
    size_t most;                 /* bytes: no further job is taken while those in progress hold more than this in total */
} tw_relay_steps;

/* Runs the steps on `threads` threads, the calling one included, until take returns TW_RELAY_END. job: n >= threads job buffers, the limit on
 * jobs in progress; the most recently put one is reused first. 0, or -1 and tw_error() with the first error: after a failed take the jobs already
 * taken are still put, after a failed put or flush no more are. */
int tw_relay(const tw_relay_steps *steps, int threads, void *const *job, int n, void *context);

#endif
