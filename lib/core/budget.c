#include "core/budget.h"

#include "core/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct tw_budget {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t size, used; /* budget and bytes reserved, of all jobs except the oldest */
    uint64_t oldest;   /* the first job that is not done */
    size_t *taken;     /* bytes reserved by job i, at i % depth */
    uint64_t depth;
    bool lifted;
};

tw_budget *tw_budget_new(size_t bytes, int depth)
{
    tw_budget *b = tw_calloc(1, sizeof *b);
    if (b == NULL || (b->taken = tw_calloc((size_t)depth, sizeof *b->taken)) == NULL) {
        free(b);
        return NULL;
    }
    b->size = bytes;
    b->depth = (uint64_t)depth;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    return b;
}

void tw_budget_free(tw_budget *b)
{
    if (b == NULL)
        return;
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->taken);
    free(b);
}

void tw_budget_take(tw_budget *b, uint64_t job, size_t bytes)
{
    pthread_mutex_lock(&b->lock);
    while (!b->lifted && job != b->oldest && bytes > b->size - b->used)
        pthread_cond_wait(&b->changed, &b->lock);
    b->taken[job % b->depth] += bytes;
    if (job != b->oldest)
        b->used += bytes;
    pthread_mutex_unlock(&b->lock);
}

void tw_budget_done(tw_budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->taken[b->oldest++ % b->depth] = 0;
    b->used -= b->taken[b->oldest % b->depth];
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void tw_budget_lift(tw_budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->lifted = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}
