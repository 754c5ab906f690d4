#include "nn/arena.h"

#include <stdbool.h>

static bool collide(const tw_block *a, const tw_block *b)
{
    const bool together = a->first <= b->last && b->first <= a->last;
    return together && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

size_t tw_arena_place(tw_block *b, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        b[i].bytes = (b[i].bytes + 63) / 64 * 64;
        b[i].offset = 0;
        for (int k = 0; k < i; k++)
            if (collide(&b[i], &b[k])) { /* above it, and look at all of them again */
                b[i].offset = b[k].offset + b[k].bytes;
                k = -1;
            }
        if (b[i].offset + b[i].bytes > total)
            total = b[i].offset + b[i].bytes;
    }
    return total;
}
