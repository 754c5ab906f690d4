/* The order of an epoch: a function of the seed, the epoch's number and how many samples there are, so that any rank, worker or
 * restart finds the same sample at the same place. */
#ifndef TW_SOURCE_ORDER_H
#define TW_SOURCE_ORDER_H

#include "core/share.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t n, limit;  /* samples of the data set; places of an epoch (at most n) */
    bool shuffle;
    uint64_t seed;
    tw_share share;     /* the places that this one has */
    uint64_t *place;    /* owned: the permutation of the epoch in hand; NULL without shuffle */
} tw_order;

/* limit 0: all of n. 0, or -1 and tw_error(). */
int tw_order_init(tw_order *o, uint64_t n, uint64_t limit, bool shuffle, uint64_t seed, const tw_share *share);
void tw_order_fini(tw_order *o);

/* Turns to an epoch, 0 .. 2^24 - 1. */
void tw_order_epoch(tw_order *o, int64_t epoch);

uint64_t tw_order_count(const tw_order *o);                /* samples of this shard in an epoch */
uint64_t tw_order_pos(const tw_order *o, uint64_t i);      /* the i-th one's place in the epoch's order */
uint64_t tw_order_index(const tw_order *o, uint64_t i);    /* its number in the data set */

/* The number of the sample that is `further` places behind it in the order of all shards, which begins again behind the last of its `limit` places:
 * what takes the place of a bad one is the same for any shards. */
uint64_t tw_order_behind(const tw_order *o, uint64_t i, uint64_t further);

#endif
