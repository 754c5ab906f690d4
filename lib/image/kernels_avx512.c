/* The kernels on vectors of 64 bytes. */
#if defined(__x86_64__)
#include "image/kernels.h"

#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw")
#endif
#include "image/kernels_avx512.h"

static inline vi vdot16(vi sum, vi a, vi b)
{
    return vadd32(sum, vmadd16(a, b));
}

/* 64 pixels of three planes to 192 bytes. */
static inline void vinterleave(uint8_t *to, vi r, vi g, vi b)
{
#define ALL(...) _mm512_broadcast_i32x4(_mm_setr_epi8(__VA_ARGS__))
    const vi r0 = _mm512_shuffle_epi8(r, ALL(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5));
    const vi g0 = _mm512_shuffle_epi8(g, ALL(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1));
    const vi b0 = _mm512_shuffle_epi8(b, ALL(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1));
    const vi r1 = _mm512_shuffle_epi8(r, ALL(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1));
    const vi g1 = _mm512_shuffle_epi8(g, ALL(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10));
    const vi b1 = _mm512_shuffle_epi8(b, ALL(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1));
    const vi r2 = _mm512_shuffle_epi8(r, ALL(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1));
    const vi g2 = _mm512_shuffle_epi8(g, ALL(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1));
    const vi b2 = _mm512_shuffle_epi8(b, ALL(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15));
#undef ALL
    const vi out[3] = {_mm512_or_si512(_mm512_or_si512(r0, g0), b0), _mm512_or_si512(_mm512_or_si512(r1, g1), b1),
                       _mm512_or_si512(_mm512_or_si512(r2, g2), b2)};
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < 3; i++)
            vstore_part(to + 48 * part + 16 * i, out[i], part);
}

#define KERNELS tw_kernels_avx512
#define KERNELS_NAME "avx512"
#define BY_TABLE false
#include "image/kernels_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int tw_kernels_avx512_unused;
#endif
