#include "core/pool.h"

#include "core/error.h"
#include "core/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    void *job;
    bool done;
} slot;

/* A ring of depth slots: [taken, started) are running or done, [started, submitted) wait for a worker. */
struct tw_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    slot *ring;
    int depth, threads;
    unsigned long submitted, started, taken;
    bool stop;
    tw_pool_run *run;
    void *context;
    pthread_t *thread;
};

typedef struct {
    tw_pool *pool;
    int worker;
} start;

static void *work(void *arg)
{
    const start s = *(start *)arg;
    tw_pool *p = s.pool;
    free(arg);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->started == p->submitted && !p->stop)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->started == p->submitted)
            break;
        slot *sl = &p->ring[p->started++ % (unsigned long)p->depth];
        pthread_mutex_unlock(&p->lock);
        p->run(sl->job, s.worker, p->context);
        pthread_mutex_lock(&p->lock);
        sl->done = true;
        pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

tw_pool *tw_pool_new(int threads, int depth, tw_pool_run *run, void *context)
{
    tw_pool *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->depth = depth != 0 ? depth : 2 * threads + 2;
    p->run = run;
    p->context = context;
    p->ring = tw_calloc((size_t)p->depth, sizeof *p->ring);
    p->thread = tw_calloc((size_t)threads, sizeof *p->thread);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    if (p->ring == NULL || p->thread == NULL)
        goto err;
    for (; p->threads < threads; p->threads++) {
        start *s = tw_calloc(1, sizeof *s);
        if (s == NULL)
            goto err;
        *s = (start){p, p->threads};
        const int rc = pthread_create(&p->thread[p->threads], NULL, work, s);
        if (rc != 0) {
            free(s);
            tw_fail("cannot start thread %d: %s", p->threads, strerror(rc));
            goto err;
        }
    }
    return p;
err:
    tw_pool_free(p);
    return NULL;
}

int tw_pool_pending(const tw_pool *p)
{
    return (int)(p->submitted - p->taken); /* both are written by the calling thread only */
}

bool tw_pool_full(const tw_pool *p)
{
    return tw_pool_pending(p) == p->depth;
}

void tw_pool_submit(tw_pool *p, void *job)
{
    if (p->threads == 0)
        p->run(job, 0, p->context);
    pthread_mutex_lock(&p->lock);
    p->ring[p->submitted++ % (unsigned long)p->depth] = (slot){job, p->threads == 0};
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void *oldest(tw_pool *p, bool wait, bool take)
{
    if (tw_pool_pending(p) == 0)
        return NULL;
    void *job = NULL;
    pthread_mutex_lock(&p->lock);
    const slot *s = &p->ring[p->taken % (unsigned long)p->depth];
    while (!s->done && wait)
        pthread_cond_wait(&p->done, &p->lock);
    if (s->done) {
        job = s->job;
        p->taken += take;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

void *tw_pool_take(tw_pool *p)
{
    return oldest(p, true, true);
}

void *tw_pool_take_ready(tw_pool *p)
{
    return oldest(p, false, true);
}

void *tw_pool_ready(tw_pool *p)
{
    return oldest(p, false, false);
}

void tw_pool_free(tw_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->thread);
    free(p->ring);
    free(p);
}

/* The quota of cgroup v2 in processors, rounded up; a large number if there is none. */
static int quota(void)
{
    int n = 1 << 20;
    long long max, period;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f == NULL)
        return n;
    if (fscanf(f, "%lld %lld", &max, &period) == 2 && period > 0)
        n = (int)((max + period - 1) / period);
    fclose(f);
    return n > 0 ? n : 1;
}

int tw_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int q = quota();
    if (n > q)
        n = q;
    return n > 0 ? n : 1;
}
