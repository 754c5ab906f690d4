/* The kernels on vectors of 64 bytes with dot products (VNNI) and byte permutations (VBMI): Intel from Ice Lake on, AMD from Zen 4 on. */
#if defined(__x86_64__)
#include "image/kernels.h"

#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vnni"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vbmi,avx512vnni")
#endif
#include "image/kernels_avx512.h"

static inline vi vdot16(vi sum, vi a, vi b)
{
    return _mm512_dpwssd_epi32(sum, a, b);
}

/* 64 pixels of three planes to 192 bytes. The index of each byte is below 64 for red, 64 more for green; for blue it is below 64 too. */
static inline void vinterleave(uint8_t *to, vi r, vi g, vi b)
{
#define P1(i) i, 64 + i, i
#define P4(i) P1(i), P1(i + 1), P1(i + 2), P1(i + 3)
#define P16(i) P4(i), P4(i + 4), P4(i + 8), P4(i + 12)
    static const _Alignas(64) uint8_t place[192] = {P16(0), P16(16), P16(32), P16(48)};
#undef P1
#undef P4
#undef P16
    static const uint64_t blue[3] = {0x4924924924924924, 0x2492492492492492, 0x9249249249249249};
    for (int i = 0; i < 3; i++) {
        const vi at = vload(place + 64 * i);
        vstore(to + 64 * i, _mm512_mask_permutexvar_epi8(_mm512_permutex2var_epi8(r, at, g), blue[i], at, b));
    }
}

#define LOOKUP
static inline void lookup(uint8_t *p, int n, const uint8_t table[256])
{
    const vi a = vload(table), b = vload(table + 64), c = vload(table + 128), d = vload(table + 192);
    for (int i = 0; i < n; i += LANE) {
        const vi v = vload(p + i);
        vstore(p + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), _mm512_permutex2var_epi8(a, v, b), _mm512_permutex2var_epi8(c, v, d)));
    }
}

#define KERNELS tw_kernels_vnni
#define KERNELS_NAME "avx512-vnni"
#define BY_TABLE true
#include "image/kernels_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int tw_kernels_vnni_unused;
#endif
