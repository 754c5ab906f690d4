/* The share that one of several ranks has of an epoch's places: every ranks-th block of `block` places, from the rank-th on. With
 * block the batch size, the batches of all ranks, one after the other, are the batch of one rank that has all places. */
#ifndef TW_CORE_SHARE_H
#define TW_CORE_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    int rank, ranks;
    int64_t block;
} tw_share;

/* "R/W" (blocks of one place) or "R/W/B", 0 <= R < W, B > 0. false: it is neither. */
static inline bool tw_share_parse(tw_share *s, const char *text)
{
    char end;
    long long block = 1;
    const int n = sscanf(text, "%d/%d/%lld%c", &s->rank, &s->ranks, &block, &end);
    if (n == 2 && sscanf(text, "%d/%d%c", &s->rank, &s->ranks, &end) != 2)
        return false;
    s->block = block;
    return (n == 2 || n == 3) && s->rank >= 0 && s->rank < s->ranks && block > 0 && block <= INT64_MAX / s->ranks;
}

/* Whether place pos of the epoch is in it, and how many of its places come before pos. */
static inline bool tw_share_has(const tw_share *s, int64_t pos)
{
    return pos / s->block % s->ranks == s->rank;
}

static inline int64_t tw_share_before(const tw_share *s, int64_t pos)
{
    const int64_t round = s->block * s->ranks, rest = pos % round - s->rank * s->block;
    return pos / round * s->block + (rest < 0 ? 0 : rest > s->block ? s->block : rest);
}

/* How many of its places are done with place pos; without shares (ranks 0 or 1) of all. */
static inline int64_t tw_share_done(const tw_share *s, int64_t pos)
{
    const int64_t before = s->ranks > 1 ? tw_share_before(s, pos) : pos;
    return before < INT64_MAX ? before + 1 : before;
}

/* The i-th of its places. */
static inline int64_t tw_share_pos(const tw_share *s, int64_t i)
{
    return i / s->block * s->block * s->ranks + s->rank * s->block + i % s->block;
}

#endif
