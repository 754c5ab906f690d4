#include "eval/blocks.h"

#include "core/mem.h"
#include "core/pool.h"
#include "eval/device.h"

#include <stdatomic.h>
#include <stdlib.h>

/* One job per thread: it takes block after block until none is left, which balances uneven blocks. */
struct tw_blocks {
    int threads, n;
    atomic_int next;
    tw_block_run *run;
    void *context;
    tw_pool *pool;
    const tw_eval_device *device;
};

static void take_blocks(void *job, int worker, void *context)
{
    (void)context;
    tw_blocks *b = job;
    for (int i; (i = atomic_fetch_add(&b->next, 1)) < b->n;)
        b->run(b->context, i, worker);
}

tw_blocks *tw_blocks_new(int threads)
{
    tw_blocks *b = tw_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->threads = threads;
    if (threads > 1 && !(b->pool = tw_pool_new(threads, threads, take_blocks, NULL))) {
        free(b);
        return NULL;
    }
    return b;
}

int tw_blocks_threads(const tw_blocks *b)
{
    return b->threads;
}

void tw_blocks_each(tw_blocks *b, int n, tw_block_run *run, void *context)
{
    b->n = n;
    b->run = run;
    b->context = context;
    atomic_store(&b->next, 0);
    if (!b->pool || n <= 1) {
        take_blocks(b, 0, NULL);
        return;
    }
    for (int i = 0; i < b->threads && i < n; i++)
        tw_pool_submit(b->pool, b);
    while (tw_pool_take(b->pool))
        ;
}

int tw_blocks_count(long long n, int size)
{
    return (int)((n + size - 1) / size);
}

void tw_blocks_set_device(tw_blocks *b, const tw_eval_device *d)
{
    b->device = d != NULL && d->be != NULL ? d : NULL;
}

const tw_eval_device *tw_blocks_device(const tw_blocks *b)
{
    return b->device;
}

void tw_blocks_free(tw_blocks *b)
{
    if (!b)
        return;
    tw_pool_free(b->pool);
    free(b);
}
