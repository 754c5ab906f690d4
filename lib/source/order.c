#include "source/order.h"

#include "core/mem.h"
#include "core/philox.h"

#include <stdlib.h>

int tw_order_init(tw_order *o, uint64_t n, uint64_t limit, bool shuffle, uint64_t seed, const tw_share *share)
{
    *o = (tw_order){.n = n, .limit = limit == 0 || limit > n ? n : limit, .shuffle = shuffle, .seed = seed, .share = *share};
    if (!shuffle)
        return 0;
    o->place = tw_calloc(n, sizeof *o->place);
    return o->place != NULL ? 0 : -1;
}

void tw_order_fini(tw_order *o)
{
    free(o->place);
    o->place = NULL;
}

void tw_order_epoch(tw_order *o, int64_t epoch)
{
    if (!o->shuffle)
        return;
    tw_rng r;
    tw_rng_init(&r, o->seed, TW_USE_SHUFFLE, 0, (uint32_t)epoch, 0);
    tw_rng_permutation(&r, o->place, o->n);
}

uint64_t tw_order_count(const tw_order *o)
{
    return (uint64_t)tw_share_before(&o->share, (int64_t)o->limit);
}

uint64_t tw_order_pos(const tw_order *o, uint64_t i)
{
    return (uint64_t)tw_share_pos(&o->share, (int64_t)i);
}

uint64_t tw_order_index(const tw_order *o, uint64_t i)
{
    return tw_order_behind(o, i, 0);
}

uint64_t tw_order_behind(const tw_order *o, uint64_t i, uint64_t further)
{
    const uint64_t pos = (tw_order_pos(o, i) + further % o->limit) % o->limit;
    return o->shuffle ? o->place[pos] : pos;
}
