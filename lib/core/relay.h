/* A stream of jobs in bounded memory through several threads, each of which takes a job in, does it and puts it out before it turns to the
 * next: what a job holds stays in the caches of one processor, and no thread is there only to read and write while others starve.
 * Jobs are taken in, and put out, by one thread at a time, and put out in the order in which they were taken, whatever -j is. */
#ifndef TW_CORE_RELAY_H
#define TW_CORE_RELAY_H

#include <stdbool.h>
#include <stddef.h>

enum { TW_RELAY_END, TW_RELAY_JOB, TW_RELAY_LATER };

typedef struct {
    /* Fills in a job. TW_RELAY_JOB, *held (0 when called) being the bytes that it holds until it has been put out; TW_RELAY_END;
     * TW_RELAY_LATER: again when all that was taken has been put out; or -1 and tw_error(). */
    int (*take)(void *job, size_t *held, void *context);
    /* Does it, several at once; worker is 0..threads-1, for scratch memory of its own. Failures travel inside the job. */
    void (*run)(void *job, int worker, void *context);
    int (*put)(void *job, void *context); /* 0, or -1 and tw_error() */
    /* Whether take would not wait for input, which may be waited for so many ms. NULL: it is always called at once. */
    bool (*ready)(void *context, int ms);
    int (*flush)(void *context); /* between puts, when all are out and input is waited for: as put. NULL: nothing is to be done */
    size_t most;                 /* no job is taken beside others that hold more than this */
} tw_relay_steps;

/* Runs until take ends, the calling thread being one of `threads`. job: n of them (at least threads), that many under way at most; the one
 * that was put out last is filled in first. 0, or -1 and tw_error(): after a failed take what was taken before is put out, after a failed put
 * nothing more is. */
int tw_relay(const tw_relay_steps *steps, int threads, void *const *job, int n, void *context);

#endif
