/* A parallel loop over numbered blocks on a fixed set of threads. A block's result must depend on its number only, so that results do not depend on
 * the number of threads. */
#ifndef TW_EVAL_BLOCKS_H
#define TW_EVAL_BLOCKS_H

typedef struct tw_blocks tw_blocks;
struct tw_eval_device;
/* worker: number of the thread, 0 .. threads-1, to choose its scratch memory. */
typedef void tw_block_run(void *context, int block, int worker);

/* threads >= 1 (one: everything runs in the caller). NULL and tw_error(). */
tw_blocks *tw_blocks_new(int threads);
int tw_blocks_threads(const tw_blocks *b);

/* Calls run for blocks 0 .. n-1 in any order and returns when all are done. */
void tw_blocks_each(tw_blocks *b, int n, tw_block_run *run, void *context);

/* How many blocks of `size` cover n elements. */
int tw_blocks_count(long long n, int size);

/* Sets a device (eval/device.h), borrowed, on which large products run instead of on these threads. NULL (the default), or the CPU: none. */
void tw_blocks_set_device(tw_blocks *b, const struct tw_eval_device *d);
const struct tw_eval_device *tw_blocks_device(const tw_blocks *b); /* NULL: none */

void tw_blocks_free(tw_blocks *b); /* NULL is allowed */

#endif
