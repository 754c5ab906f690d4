/* What the kernels share: access to activations of either type, run-time dispatch to AVX-512 or AVX2. A kernel is an always-inlined function
 * with the type as its last parameter, called with a constant type by a function marked TW_CLONES, of which the compiler makes a version for
 * each instruction set. No version uses fused multiply-add, so all give the same bytes. */
#ifndef TW_CPU_VEC_H
#define TW_CPU_VEC_H

#include "core/tensor.h"

#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define TW_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define TW_CLONES
#endif
#define TW_KERNEL static inline __attribute__((always_inline))

/* Element i as f32. */
TW_KERNEL float tw_get(const void *p, size_t i, tw_dtype t)
{
    if (t == TW_F32)
        return ((const float *)p)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Stores v as element i: bf16 rounded to nearest even; NaN stays NaN. */
TW_KERNEL void tw_put(void *p, size_t i, float v, tw_dtype t)
{
    if (t == TW_F32) {
        ((float *)p)[i] = v;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    ((uint16_t *)p)[i] = (uint16_t)(v == v ? rounded : 0x7fc0);
}

/* e^x to 2 ulp; 0 below -87, at most e^88. */
TW_KERNEL float tw_exp(float x)
{
    x = x < -87.0f ? -87.5f : x > 88.0f ? 88.0f : x;
    const float shifted = x * 1.44269504f + 0x1.8p23f, n = shifted - 0x1.8p23f; /* the nearest whole number */
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;                /* ln 2 in two parts, the first exact in few bits (Cody and Waite) */
    float p = 1.9875692e-4f; /* Cephes */
    p = p * r + 1.3981999e-3f;
    p = p * r + 8.3334519e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666665e-1f;
    p = p * r + 5.0000001e-1f;
    p = p * (r * r) + r + 1;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -87.0f ? 0 : p * scale;
}

/* Calls an inlined kernel NAME_any, whose last parameter is the type, with the type as a constant. */
#define TW_BY_TYPE(type, call, ...)           \
    do {                                      \
        if ((type) == TW_F32)                 \
            call(__VA_ARGS__, TW_F32);        \
        else                                  \
            call(__VA_ARGS__, TW_BF16);       \
    } while (0)

/* Work is divided into pieces of a fixed size, never by the number of threads. Elements of a piece of a flat array: */
enum { TW_PIECE = 1 << 14 };

/* Runs `body` for each piece from .. to - 1 of n elements, in parallel. */
#define TW_FOR_PIECES(n, from, to, body)                                            \
    do {                                                                            \
        _Pragma("omp parallel for schedule(static)")                                \
        for (size_t piece_ = 0; piece_ < ((n) + TW_PIECE - 1) / TW_PIECE; piece_++) { \
            const size_t from = piece_ * TW_PIECE, left_ = (n) - from;              \
            const size_t to = from + (left_ < TW_PIECE ? left_ : TW_PIECE);         \
            body;                                                                   \
        }                                                                           \
    } while (0)

static inline int64_t tw_pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static inline int64_t tw_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t tw_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
