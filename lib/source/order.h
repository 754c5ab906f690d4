/* The order of samples in an epoch: a function of the seed, the epoch and the number of samples only, so that every rank, worker and restart finds
 * the same sample at the same place. */
#ifndef TW_SOURCE_ORDER_H
#define TW_SOURCE_ORDER_H

#include "core/share.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t n, limit;  /* samples of the data set; places of an epoch (at most n) */
    bool shuffle;
    uint64_t seed;
    tw_share share;     /* the places of this shard */
    uint64_t *place;    /* owned: the permutation of the current epoch; NULL without shuffle */
} tw_order;

/* n: samples of the data set; limit: places of an epoch, 0 or more than n: n. Call tw_order_epoch before the first use. 0, or -1 and tw_error(). */
int tw_order_init(tw_order *o, uint64_t n, uint64_t limit, bool shuffle, uint64_t seed, const tw_share *share);
void tw_order_fini(tw_order *o);

/* Sets the epoch, 0 .. 2^24 - 1; with shuffle, computes its permutation. */
void tw_order_epoch(tw_order *o, int64_t epoch);

uint64_t tw_order_count(const tw_order *o);                /* samples of this shard in an epoch */
uint64_t tw_order_pos(const tw_order *o, uint64_t i);      /* place in the epoch's order of the shard's i-th sample */
uint64_t tw_order_index(const tw_order *o, uint64_t i);    /* number in the data set of the shard's i-th sample */

/* The data set number of the sample `further` places after the shard's i-th one, in the epoch's order over all shards, modulo `limit` places. This
 * chooses the substitutes of bad images, independently of the sharding. */
uint64_t tw_order_behind(const tw_order *o, uint64_t i, uint64_t further);

#endif
