/* How the places (sample positions) of an epoch are divided among ranks: in blocks of `block` places, dealt round-robin. Place p is of rank
 * p / block % ranks. With block = batch size per rank, the concatenated batches of all ranks equal one batch of a single rank. */
#ifndef TW_CORE_SHARE_H
#define TW_CORE_SHARE_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    int rank, ranks;
    int64_t block;
} tw_share;

/* Parses "R/W" (block 1) or "R/W/B": rank R of W ranks, block B; 0 <= R < W, B > 0. false: malformed or out of range. */
static inline bool tw_share_parse(tw_share *s, const char *text)
{
    long long v[3] = {0, 0, 1};
    int n = 0;
    for (char *end = NULL; n < 3; text = end + 1) {
        errno = 0;
        v[n++] = strtoll(text, &end, 10);
        if (end == text || errno != 0 || (*end != '/' && *end != '\0'))
            return false;
        if (*end == '\0')
            break;
        if (n == 3)
            return false;
    }
    if (n < 2 || v[0] < 0 || v[0] >= v[1] || v[1] > INT_MAX || v[2] < 1 || v[2] > INT64_MAX / v[1])
        return false;
    *s = (tw_share){(int)v[0], (int)v[1], v[2]};
    return true;
}

/* tw_share_has: whether place pos of the epoch is in the share. tw_share_before: how many places of the share are below pos. */
static inline bool tw_share_has(const tw_share *s, int64_t pos)
{
    return pos / s->block % s->ranks == s->rank;
}

static inline int64_t tw_share_before(const tw_share *s, int64_t pos)
{
    const int64_t round = s->block * s->ranks, rest = pos % round - s->rank * s->block;
    return pos / round * s->block + (rest < 0 ? 0 : rest > s->block ? s->block : rest);
}

/* How many places of the share are at or below pos; ranks 0 or 1: no sharding, every place counts. */
static inline int64_t tw_share_done(const tw_share *s, int64_t pos)
{
    const int64_t before = s->ranks > 1 ? tw_share_before(s, pos) : pos;
    return before < INT64_MAX ? before + 1 : before;
}

/* The share's i-th place (i from 0). */
static inline int64_t tw_share_pos(const tw_share *s, int64_t i)
{
    return i / s->block * s->block * s->ranks + s->rank * s->block + i % s->block;
}

#endif
