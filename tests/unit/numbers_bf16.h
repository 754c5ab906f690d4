/* What the tests of the CPU's operations in bf16 share. */
#ifndef TW_TEST_NUMBERS_BF16_H
#define TW_TEST_NUMBERS_BF16_H

#include "numbers.h"

#include "nn/backend.h"

/* What bf16 makes of f32 numbers, in place; returns their bits. */
static inline void *to_bf16(const tw_backend *be, tw_dev *d, float *x, size_t n)
{
    void *to = tw_alloc64(n * 2);
    CHECK(be->from_f32(d, to, x, n) == 0 && be->to_f32(d, x, to, n) == 0);
    return to;
}

/* How far bf16 numbers are from those wanted, as `off` says. */
static inline double off_bf16(const tw_backend *be, tw_dev *d, const void *got, const double *want, size_t n)
{
    float *x = tw_alloc64(n * sizeof *x);
    CHECK(be->to_f32(d, x, got, n) == 0);
    const double far = off(x, want, n);
    free(x);
    return far;
}

#endif
