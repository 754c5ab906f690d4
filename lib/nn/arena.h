/* Places blocks that live for an interval of time into one piece of memory, so that blocks that never live at once share
 * bytes. */
#ifndef TW_NN_ARENA_H
#define TW_NN_ARENA_H

#include <stddef.h>

typedef struct {
    size_t bytes;
    int first, last; /* both ends are times of life */
    size_t offset;   /* the result, a multiple of 64 */
} tw_block;

/* Sets every offset, in the order given each as low as it goes, and returns the bytes needed. */
size_t tw_arena_place(tw_block *b, int n);

#endif
