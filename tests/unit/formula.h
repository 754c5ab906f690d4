/* Weights by the formula of tests/golden/nn/make.py, so that both sides have the same without a file. */
#ifndef TW_TEST_FORMULA_H
#define TW_TEST_FORMULA_H

#include "nn/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Number k of stream `tensor`, in [0, 1). */
static inline double formula_uniform(uint64_t k, uint64_t tensor)
{
    uint32_t x = (uint32_t)(k * 2654435761u + tensor * 40503u + 12345u);
    x = (x ^ x >> 15) * 2246822519u;
    x = (x ^ x >> 13) * 3266489917u;
    return (double)((x ^ x >> 16) >> 8) / (1 << 24);
}

typedef enum { FORMULA_MEAN, FORMULA_VAR, FORMULA_CONV, FORMULA_LINEAR, FORMULA_SCALE, FORMULA_SHIFT } formula_kind;

static inline formula_kind formula_kind_of(const tw_param *p)
{
    if (strstr(p->name, "running_mean") != NULL)
        return FORMULA_MEAN;
    if (strstr(p->name, "running_var") != NULL)
        return FORMULA_VAR;
    if (p->rank == 4 || p->rank == 2)
        return p->rank == 4 ? FORMULA_CONV : FORMULA_LINEAR;
    return strstr(p->name, ".weight") != NULL ? FORMULA_SCALE : FORMULA_SHIFT;
}

static inline double formula_of(formula_kind kind, const tw_param *p, double u)
{
    switch (kind) {
    case FORMULA_MEAN: return 0.1 * (u - 0.5);
    case FORMULA_VAR: return 0.5 + u;
    case FORMULA_CONV: return (2 * u - 1) * sqrt(6 / (double)(p->dim[0] * p->dim[2] * p->dim[3]));
    case FORMULA_LINEAR: return (2 * u - 1) / sqrt((double)p->dim[1]);
    case FORMULA_SCALE: return 0.75 + 0.5 * u;
    case FORMULA_SHIFT: break;
    }
    return 0.2 * (u - 0.5);
}

static inline double formula_value(const tw_param *p, double u)
{
    return formula_of(formula_kind_of(p), p, u);
}

/* shift: of the biases of a ResNet's norms, so that no ReLU is near its kink; 0: none. */
static inline void formula_fill_shifted(tw_net *net, double shift)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        const formula_kind kind = formula_kind_of(p);
        const size_t length = strlen(p->name);
        const bool shifted = strncmp(p->name, "backbone.", 9) == 0 && length > 5 && strcmp(p->name + length - 5, ".bias") == 0;
        for (size_t k = 0; p->dtype == TW_F32 && k < p->n; k++) {
            const float v = (float)formula_of(kind, p, formula_uniform(k, (uint64_t)i));
            ((float *)p->value)[k] = shifted ? (float)((double)v + shift) : v;
        }
    }
    tw_net_changed(net);
}

static inline void formula_fill(tw_net *net)
{
    formula_fill_shifted(net, 0);
}

/* A line of a golden file about one tensor: KIND NAME N and N numbers, at most 16. Returns N; 0 at the end. */
static inline int golden_line(FILE *f, char kind[16], char name[96], double *v)
{
    int n = 0;
    if (fscanf(f, "%15s %95s %d", kind, name, &n) != 3 || n > 16)
        return 0;
    for (int i = 0; i < n; i++)
        if (fscanf(f, "%lf", &v[i]) != 1)
            return 0;
    return n;
}

#endif
