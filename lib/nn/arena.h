/* Static memory planning: gives blocks with known lifetimes their offsets in one piece of memory. Blocks whose lifetimes do not overlap may
 * share bytes. */
#ifndef TW_NN_ARENA_H
#define TW_NN_ARENA_H

#include <stddef.h>

typedef struct {
    size_t bytes;
    int first, last; /* lifetime, both ends included */
    size_t offset;   /* the result, a multiple of 64 */
} tw_block;

/* Sets every offset, first fit: in the order given, each block as low as it fits. Returns the total bytes needed. */
size_t tw_arena_place(tw_block *b, int n);

#endif
