/* The vector operations of the kernels on 64 bytes that need only AVX-512 F and BW; shared by kernels_avx512.c and kernels_vnni.c. */
#include <immintrin.h>

enum { LANE = 64 };

typedef __m512i vi; /* integers of any width */
typedef __m512 vf;
typedef __mmask16 vm;

static inline vi vload(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void vstore(void *p, vi v)
{
    _mm512_storeu_si512(p, v);
}

/* The part-th 16 bytes. */
static inline void vstore_part(uint8_t *p, vi v, int part)
{
    __m128i x = _mm512_castsi512_si128(v);
    if (part == 1)
        x = _mm512_extracti32x4_epi32(v, 1);
    else if (part == 2)
        x = _mm512_extracti32x4_epi32(v, 2);
    else if (part == 3)
        x = _mm512_extracti32x4_epi32(v, 3);
    _mm_storeu_si128((__m128i *)(void *)p, x);
}

static inline vi vzero(void)
{
    return _mm512_setzero_si512();
}

static inline vi vset32(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}

#define vunlo8 _mm512_unpacklo_epi8
#define vunhi8 _mm512_unpackhi_epi8
#define vunlo16 _mm512_unpacklo_epi16
#define vunhi16 _mm512_unpackhi_epi16
#define vmadd8 _mm512_maddubs_epi16
#define vmadd16 _mm512_madd_epi16
#define vadd16 _mm512_add_epi16
#define vsub16 _mm512_sub_epi16
#define vadd32 _mm512_add_epi32
#define vsrl32 _mm512_srli_epi32
#define vsra32 _mm512_srai_epi32
#define vand _mm512_and_si512
#define vxor _mm512_xor_si512
#define vor _mm512_or_si512
#define vmax32 _mm512_max_epi32
#define vmin32 _mm512_min_epi32
#define vpack32 _mm512_packs_epi32
#define vpack16 _mm512_packus_epi16
#define vfset _mm512_set1_ps
#define vfint _mm512_cvttps_epi32
#define vfwhole _mm512_cvtepi32_ps
#define vfbits _mm512_castps_si512
#define vfof _mm512_castsi512_ps
#define vfget _mm512_loadu_ps
#define vfput _mm512_storeu_ps
#define vfmadd _mm512_fmadd_ps
#define vfnmadd _mm512_fnmadd_ps

/* Sixteen bytes to floats. */
static inline vf vfload(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* LANE floats within 16 bits to bytes, truncated and clipped. */
static inline vi vfbytes(const float *p)
{
    const vi a = _mm512_packs_epi32(vfint(vfget(p)), vfint(vfget(p + 16)));
    const vi b = _mm512_packs_epi32(vfint(vfget(p + 32)), vfint(vfget(p + 48)));
    const vi order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(a, b));
}

/* a / 6, rounded as division rounds it: the quotient by the reciprocal, corrected by its exact remainder. */
static inline vf vfsixth(vf a)
{
    const vf r = _mm512_set1_ps(1.0f / 6), q = _mm512_mul_ps(a, r);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(_mm512_set1_ps(6), q, a), r, q);
}

static inline vf vfsel(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

static inline vm vequal32(vi a, vi b)
{
    return _mm512_cmpeq_epi32_mask(a, b);
}

/* ~m & a */
static inline vi vunless(vm m, vi a)
{
    return _mm512_maskz_mov_epi32((__mmask16)~m, a);
}

static inline vf vfsum(vf a, vf b)
{
    return a + b;
}

static inline vf vftrunc(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

static inline uint64_t vsum32(vi a)
{
    uint32_t x[16];
    uint64_t sum = 0;
    vstore(x, a);
    for (int i = 0; i < 16; i++)
        sum += x[i];
    return sum;
}

static inline vi vsolarize(vi a)
{
    return _mm512_xor_si512(a, _mm512_movm_epi8(_mm512_movepi8_mask(a)));
}
