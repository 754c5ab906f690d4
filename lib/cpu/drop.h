/* Inside lib/cpu: numbers of the rows that dropout and stochastic depth decide about. */
#ifndef TW_CPU_DROP_H
#define TW_CPU_DROP_H

#include "nn/backend.h"

/* See tw_drop. */
static inline uint32_t tw_drop_number(const tw_drop *d, int row)
{
    const int64_t in_view = row / d->batch * d->stride + row % d->batch;
    return (uint32_t)(d->row + in_view);
}

#endif
