/* Monotonic time, for differences only. */
#ifndef TW_CORE_CLOCK_H
#define TW_CORE_CLOCK_H

#include <time.h>

/* Seconds since an arbitrary start (CLOCK_MONOTONIC). */
static inline double tw_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A clock for time-outs that stands still while the process does (SIGSTOP, a suspended job, a paused machine): others could not be heard then.
 * Zero-initialise; for loops that ask it more than once a second: of the time since the last call, at most a second counts. */
typedef struct {
    double at, asked;
} tw_awake;

static inline double tw_awake_now(tw_awake *a)
{
    const double now = tw_now(), passed = now - a->asked;
    a->at += a->asked == 0 || passed < 1 ? passed : 1;
    a->asked = now;
    return a->at;
}

#endif
