/* The kernels on vectors of 32 bytes. */
#if defined(__x86_64__)
#include "image/kernels.h"

#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include <immintrin.h>

enum { LANE = 32 };

typedef __m256i vi; /* integers of any width */
typedef __m256 vf, vm;

static inline vi vload(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline void vstore(void *p, vi v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

/* The part-th 16 bytes. */
static inline void vstore_part(uint8_t *p, vi v, int part)
{
    _mm_storeu_si128((__m128i *)(void *)p, part == 0 ? _mm256_castsi256_si128(v) : _mm256_extracti128_si256(v, 1));
}

static inline vi vzero(void)
{
    return _mm256_setzero_si256();
}

static inline vi vset32(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}

#define vunlo8 _mm256_unpacklo_epi8
#define vunhi8 _mm256_unpackhi_epi8
#define vunlo16 _mm256_unpacklo_epi16
#define vunhi16 _mm256_unpackhi_epi16
#define vmadd8 _mm256_maddubs_epi16
#define vmadd16 _mm256_madd_epi16
#define vadd16 _mm256_add_epi16
#define vsub16 _mm256_sub_epi16
#define vadd32 _mm256_add_epi32
#define vsrl32 _mm256_srli_epi32
#define vsra32 _mm256_srai_epi32
#define vand _mm256_and_si256
#define vxor _mm256_xor_si256
#define vor _mm256_or_si256
#define vmax32 _mm256_max_epi32
#define vmin32 _mm256_min_epi32
#define vpack32 _mm256_packs_epi32
#define vpack16 _mm256_packus_epi16
#define vfset _mm256_set1_ps
#define vfint _mm256_cvttps_epi32
#define vfwhole _mm256_cvtepi32_ps
#define vfbits _mm256_castps_si256
#define vfof _mm256_castsi256_ps
#define vfget _mm256_loadu_ps
#define vfput _mm256_storeu_ps
#define vfmadd _mm256_fmadd_ps
#define vfnmadd _mm256_fnmadd_ps

static inline vi vdot16(vi sum, vi a, vi b)
{
    return vadd32(sum, vmadd16(a, b));
}

/* Eight bytes to floats. */
static inline vf vfload(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

/* LANE floats within 16 bits to bytes, truncated and clipped. */
static inline vi vfbytes(const float *p)
{
    const vi a = _mm256_packs_epi32(vfint(vfget(p)), vfint(vfget(p + 8)));
    const vi b = _mm256_packs_epi32(vfint(vfget(p + 16)), vfint(vfget(p + 24)));
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* a / 6, rounded as division rounds it: the quotient by the reciprocal, corrected by its exact remainder. */
static inline vf vfsixth(vf a)
{
    const vf r = _mm256_set1_ps(1.0f / 6), q = _mm256_mul_ps(a, r);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(_mm256_set1_ps(6), q, a), r, q);
}

static inline vf vfsel(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, m);
}

static inline vm vequal32(vi a, vi b)
{
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}

/* ~m & a */
static inline vi vunless(vm m, vi a)
{
    return _mm256_andnot_si256(_mm256_castps_si256(m), a);
}

/* a + b, as a fused multiply-add: the adders are the busier unit */
static inline vf vfsum(vf a, vf b)
{
    return _mm256_fmadd_ps(a, _mm256_set1_ps(1), b);
}

static inline vf vftrunc(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

static inline uint64_t vsum32(vi a)
{
    uint32_t x[8];
    uint64_t sum = 0;
    vstore(x, a);
    for (int i = 0; i < 8; i++)
        sum += x[i];
    return sum;
}

static inline vi vsolarize(vi a)
{
    return _mm256_xor_si256(a, _mm256_cmpgt_epi8(_mm256_setzero_si256(), a));
}

/* 32 pixels of three planes to 96 bytes. */
static inline void vinterleave(uint8_t *to, vi r, vi g, vi b)
{
#define BOTH(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
    const vi r0 = _mm256_shuffle_epi8(r, BOTH(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5));
    const vi g0 = _mm256_shuffle_epi8(g, BOTH(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1));
    const vi b0 = _mm256_shuffle_epi8(b, BOTH(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1));
    const vi r1 = _mm256_shuffle_epi8(r, BOTH(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1));
    const vi g1 = _mm256_shuffle_epi8(g, BOTH(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10));
    const vi b1 = _mm256_shuffle_epi8(b, BOTH(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1));
    const vi r2 = _mm256_shuffle_epi8(r, BOTH(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1));
    const vi g2 = _mm256_shuffle_epi8(g, BOTH(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1));
    const vi b2 = _mm256_shuffle_epi8(b, BOTH(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15));
#undef BOTH
    const vi x = _mm256_or_si256(_mm256_or_si256(r0, g0), b0), y = _mm256_or_si256(_mm256_or_si256(r1, g1), b1);
    const vi z = _mm256_or_si256(_mm256_or_si256(r2, g2), b2);
    vstore(to, _mm256_permute2x128_si256(x, y, 0x20));
    vstore(to + 32, _mm256_permute2x128_si256(z, x, 0x30));
    vstore(to + 64, _mm256_permute2x128_si256(y, z, 0x31));
}

#define KERNELS tw_kernels_avx2
#define KERNELS_NAME "avx2"
#define BY_TABLE false
#include "image/kernels_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int tw_kernels_avx2_unused;
#endif
