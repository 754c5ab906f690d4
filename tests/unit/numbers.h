/* What the tests of the CPU's operations share: random numbers to work on, and how far results are from those wanted. */
#ifndef TW_TEST_NUMBERS_H
#define TW_TEST_NUMBERS_H

#include "test.h"

#include "core/mem.h"
#include "core/philox.h"

static tw_rng rng;

/* n numbers in (-size, size), aligned to 64. */
static inline float *numbers_within(size_t n, double size)
{
    float *x = tw_alloc64(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)tw_rng_between(&rng, -size, size);
    return x;
}

/* Largest difference in units of the largest wanted number. */
static inline double off(const float *got, const double *want, size_t n)
{
    double worst = 0, size = 1e-30;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, isfinite(got[i]) ? fabs((double)got[i] - want[i]) : INFINITY);
        size = fmax(size, fabs(want[i]));
    }
    return worst / size;
}

#endif
