/* Weights by the formula of tests/golden/nn/make.py, so that both sides have the same without a file. */
#ifndef TW_TEST_FORMULA_H
#define TW_TEST_FORMULA_H

#include "nn/net.h"

#include <math.h>
#include <string.h>

/* Number k of stream `tensor`, in [0, 1). */
static inline double formula_uniform(uint64_t k, uint64_t tensor)
{
    uint32_t x = (uint32_t)(k * 2654435761u + tensor * 40503u + 12345u);
    x = (x ^ x >> 15) * 2246822519u;
    x = (x ^ x >> 13) * 3266489917u;
    return (double)((x ^ x >> 16) >> 8) / (1 << 24);
}

static inline double formula_value(const tw_param *p, double u)
{
    if (strstr(p->name, "running_mean") != NULL)
        return 0.1 * (u - 0.5);
    if (strstr(p->name, "running_var") != NULL)
        return 0.5 + u;
    if (p->rank == 4)
        return (2 * u - 1) * sqrt(6 / (double)(p->dim[0] * p->dim[2] * p->dim[3]));
    if (p->rank == 2)
        return (2 * u - 1) / sqrt((double)p->dim[1]);
    return strstr(p->name, ".weight") != NULL ? 0.75 + 0.5 * u : 0.2 * (u - 0.5);
}

static inline void formula_fill(tw_net *net)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        for (size_t k = 0; p->dtype == TW_F32 && k < p->n; k++)
            ((float *)p->value)[k] = (float)formula_value(p, formula_uniform(k, (uint64_t)i));
    }
    tw_net_changed(net);
}

#endif
