#include "core/relay.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    GLANCE = 100, /* ms between two checks for a failure, while waiting for input */
    NAP = 50      /* longest sleep of a thread that is not signalled, in ms */
};
#define TURN 150e-6 /* s of work between two calls of sched_yield: several short jobs */

typedef struct {
    void *job;
    size_t held;
    bool done;
} slot;

/* Jobs [out, in) are in progress, job i in slot i % n. `taking` and `putting` are roles that at most one thread has at a time. */
typedef struct {
    const tw_relay_steps *step;
    void *context;
    int n, n_idle;
    void **idle;
    slot *ring;
    pthread_mutex_t lock;
    pthread_cond_t room, empty; /* signalled when a job may be taken; when no job is in progress */
    unsigned long in, out;
    size_t held;
    bool taking, putting, waiting, flushed, ended;
    bool more;   /* there was more input at the last check; true without a `ready` step */
    bool failed; /* put or flush failed: no more jobs are put */
    int rc;
    char error[1024]; /* the first error */
} relay;

static void end(relay *r)
{
    r->ended = true;
    pthread_cond_broadcast(&r->room);
    pthread_cond_broadcast(&r->empty);
}

static void fail(relay *r)
{
    if (r->rc == 0)
        snprintf(r->error, sizeof r->error, "%s", tw_error());
    r->rc = -1;
    end(r);
}

static bool no_room(const relay *r)
{
    return r->n_idle == 0 || (r->held > r->step->most && r->out < r->in);
}

/* Puts the finished jobs, the oldest first. If another thread is putting, that one puts them. */
static void put_out(relay *r)
{
    if (r->putting)
        return;
    r->putting = true;
    while (!r->failed) {
        slot *s = &r->ring[r->out % (unsigned long)r->n];
        const bool job = r->out < r->in && s->done, flush = r->waiting && r->out == r->in && !r->flushed && r->step->flush != NULL;
        if (!job && !flush)
            break;
        pthread_mutex_unlock(&r->lock);
        const int rc = job ? r->step->put(s->job, r->context) : r->step->flush(r->context);
        pthread_mutex_lock(&r->lock);
        r->failed = rc != 0;
        r->flushed = flush;
        if (rc != 0)
            fail(r);
        if (!job)
            continue;
        const bool waited_for = no_room(r);
        r->idle[r->n_idle++] = s->job;
        r->held -= s->held;
        if (++r->out == r->in)
            pthread_cond_signal(&r->empty);
        if (waited_for)
            pthread_cond_signal(&r->room);
    }
    r->putting = false;
}

/* Waits for input; finished jobs are put meanwhile. False: a put or flush has failed. */
static bool await(relay *r)
{
    if (r->step->ready == NULL)
        return true;
    pthread_mutex_unlock(&r->lock);
    bool ready = r->step->ready(r->context, 0);
    pthread_mutex_lock(&r->lock);
    r->waiting = !ready;
    if (r->waiting)
        put_out(r);
    while (!ready && !r->failed) {
        pthread_mutex_unlock(&r->lock);
        ready = r->step->ready(r->context, GLANCE);
        pthread_mutex_lock(&r->lock);
    }
    r->waiting = false;
    return !r->failed;
}

/* Fills in a job; called by the thread with the role `taking`. NULL: no more jobs. */
static slot *take_in(relay *r)
{
    slot *s = &r->ring[r->in % (unsigned long)r->n];
    void *job = r->idle[--r->n_idle];
    size_t held = 0;
    int rc = TW_RELAY_LATER;
    while (rc == TW_RELAY_LATER && await(r)) {
        pthread_mutex_unlock(&r->lock);
        rc = r->step->take(job, &held, r->context);
        pthread_mutex_lock(&r->lock);
        while (rc == TW_RELAY_LATER && r->out < r->in && !r->failed)
            pthread_cond_wait(&r->empty, &r->lock);
    }
    if (rc < 0)
        fail(r);
    if (rc != TW_RELAY_JOB || r->failed) {
        end(r);
        return NULL;
    }
    *s = (slot){job, held, false};
    r->in++;
    r->held += held;
    return s;
}

static void nap(relay *r)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += NAP * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&r->room, &r->lock, &until);
}

/* Wakes another thread if there is more input. If there is none, that thread would only wait for it: the calling one, whose caches are warm, is
 * likely to be back first; if it is delayed, the other wakes by itself after NAP. */
static void call(relay *r)
{
    if (r->step->ready != NULL) {
        pthread_mutex_unlock(&r->lock);
        const bool more = r->step->ready(r->context, 0);
        pthread_mutex_lock(&r->lock);
        r->more = more;
    }
    if (r->more)
        pthread_cond_signal(&r->room);
}

/* Waits for the turn to take, and takes the next job. NULL: no more jobs. */
static slot *next(relay *r)
{
    while (!r->ended && (r->taking || no_room(r)))
        nap(r);
    if (r->ended)
        return NULL;
    r->taking = true;
    slot *s = take_in(r);
    if (s != NULL)
        call(r);
    r->taking = false;
    return s;
}

/* Between two jobs, while this thread holds no job and no role, yields the processor to others that wait for it: mostly the neighbouring programs
 * of the pipeline. The scheduler would keep them waiting for a time slice of several jobs, and a processor that falls idle meanwhile does not take
 * them over at once. Without more input this thread will soon sleep anyway. *last: time of the last yield. */
static void give_way(relay *r, double *last)
{
    if (!r->more || tw_now() - *last < TURN)
        return;
    pthread_mutex_unlock(&r->lock);
    sched_yield();
    *last = tw_now();
    pthread_mutex_lock(&r->lock);
}

static void work(void *job, int worker, void *context)
{
    relay *r = context;
    double last = tw_now();
    (void)job;
    pthread_mutex_lock(&r->lock);
    for (slot *s; (s = next(r)) != NULL;) {
        pthread_mutex_unlock(&r->lock);
        r->step->run(s->job, worker, r->context);
        pthread_mutex_lock(&r->lock);
        s->done = true;
        put_out(r);
        give_way(r, &last);
    }
    pthread_mutex_unlock(&r->lock);
}

int tw_relay(const tw_relay_steps *steps, int threads, void *const *job, int n, void *context)
{
    relay r = {.step = steps, .context = context, .n = n, .n_idle = n, .more = true};
    pthread_condattr_t steady;
    tw_pool *pool = NULL;
    int rc = -1;
    pthread_mutex_init(&r.lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&r.room, &steady);
    pthread_condattr_destroy(&steady);
    pthread_cond_init(&r.empty, NULL);
    r.idle = tw_calloc((size_t)n, sizeof *r.idle);
    r.ring = tw_calloc((size_t)n, sizeof *r.ring);
    if (r.idle == NULL || r.ring == NULL)
        goto err;
    for (int i = 0; i < n; i++)
        r.idle[i] = job[i];
    if (threads > 1 && (pool = tw_pool_new(threads - 1, threads - 1, work, &r)) == NULL)
        goto err;
    for (int i = 1; i < threads; i++)
        tw_pool_submit(pool, &r);
    work(NULL, threads - 1, &r); /* the pool has the workers 0..threads-2 */
    while (pool != NULL && tw_pool_take(pool) != NULL)
        ;
    rc = r.rc != 0 ? tw_fail("%s", r.error) : 0;
err:
    tw_pool_free(pool);
    free(r.ring);
    free(r.idle);
    pthread_cond_destroy(&r.empty);
    pthread_cond_destroy(&r.room);
    pthread_mutex_destroy(&r.lock);
    return rc;
}
