/* The kernels for any processor: 16-byte vectors by the compilers' vector extensions (SSE2, NEON, or scalar code). */
#include "image/kernels.h"

#include <string.h>

enum { LANE = 16 };

typedef uint8_t vi __attribute__((vector_size(16))); /* integers of any width */
typedef int16_t v16 __attribute__((vector_size(16)));
typedef int32_t v32 __attribute__((vector_size(16)));
typedef uint32_t vu32 __attribute__((vector_size(16)));
typedef float vf __attribute__((vector_size(16)));
typedef v32 vm; /* a mask for floats */

static inline vi vload(const void *p)
{
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vstore(void *p, vi v)
{
    memcpy(p, &v, sizeof v);
}

static inline void vstore_part(uint8_t *p, vi v, int part)
{
    (void)part;
    vstore(p, v);
}

static inline vi vzero(void)
{
    return (vi){0};
}

static inline vi vset32(uint32_t x)
{
    return (vi)(vu32){x, x, x, x};
}

static inline vi vunlo8(vi a, vi b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline vi vunhi8(vi a, vi b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

static inline vi vunlo16(vi a, vi b)
{
    return (vi)__builtin_shufflevector((v16)a, (v16)b, 0, 8, 1, 9, 2, 10, 3, 11);
}

static inline vi vunhi16(vi a, vi b)
{
    return (vi)__builtin_shufflevector((v16)a, (v16)b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/* Sums of the products of adjacent bytes, a unsigned, b signed; here they always fit 16 bits. */
static inline vi vmadd8(vi a, vi b)
{
    typedef uint16_t vu16 __attribute__((vector_size(16)));
    const v16 even = (v16)a & 255, odd = (v16)((vu16)a >> 8);
    return (vi)(even * ((v16)((vu16)b << 8) >> 8) + odd * ((v16)b >> 8));
}

/* Sums of the products of adjacent 16-bit numbers. */
static inline vi vmadd16(vi a, vi b)
{
    const v32 x = (v32)a, y = (v32)b;
    return (vi)((vu32)((v32)((vu32)x << 16) >> 16) * (vu32)((v32)((vu32)y << 16) >> 16) + (vu32)(x >> 16) * (vu32)(y >> 16));
}

static inline vi vadd16(vi a, vi b)
{
    return (vi)((v16)a + (v16)b);
}

static inline vi vsub16(vi a, vi b)
{
    return (vi)((v16)a - (v16)b);
}

static inline vi vadd32(vi a, vi b)
{
    return (vi)((vu32)a + (vu32)b);
}

static inline vi vdot16(vi sum, vi a, vi b)
{
    return vadd32(sum, vmadd16(a, b));
}

static inline vi vsrl32(vi a, int n)
{
    return (vi)((vu32)a >> n);
}

static inline vi vsra32(vi a, int n)
{
    return (vi)((v32)a >> n);
}

static inline vi vand(vi a, vi b)
{
    return a & b;
}

static inline vi vxor(vi a, vi b)
{
    return a ^ b;
}

static inline vi vor(vi a, vi b)
{
    return a | b;
}

static inline vi vmax32(vi a, vi b)
{
    const vi m = (vi)((v32)a > (v32)b);
    return (a & m) | (b & ~m);
}

static inline vi vmin32(vi a, vi b)
{
    const vi m = (vi)((v32)a < (v32)b);
    return (a & m) | (b & ~m);
}

static inline vm vequal32(vi a, vi b)
{
    return (v32)a == (v32)b;
}

/* ~m & a */
static inline vi vunless(vm m, vi a)
{
    return ~(vi)m & a;
}

/* Narrows 32-bit to 16-bit numbers; all values used here fit. */
static inline vi vpack32(vi a, vi b)
{
    return (vi)__builtin_shufflevector((v16)a, (v16)b, 0, 2, 4, 6, 8, 10, 12, 14);
}

/* 16-bit numbers to bytes, clipped to 0..255. */
static inline vi vpack16(vi a, vi b)
{
    v16 x = (v16)a, y = (v16)b;
    x &= x > 0;
    y &= y > 0;
    x = (x & ~(x > 255)) | (255 & (x > 255));
    y = (y & ~(y > 255)) | (255 & (y > 255));
    return __builtin_shufflevector((vi)x, (vi)y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

static inline vf vfset(float x)
{
    return (vf){x, x, x, x};
}

/* Four bytes to floats. */
static inline vf vfload(const uint8_t *p)
{
    return (vf){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}

static inline vf vfget(const float *p)
{
    return (vf)vload(p);
}

static inline void vfput(float *p, vf a)
{
    vstore(p, (vi)a);
}

static inline vf vfsel(vm m, vf a, vf b)
{
    return (vf)(((v32)a & m) | ((v32)b & ~m));
}

static inline vf vftrunc(vf a)
{
    return __builtin_convertvector(__builtin_convertvector(a, v32), vf);
}

static inline vi vfint(vf a)
{
    return (vi)__builtin_convertvector(a, v32);
}

static inline vf vfwhole(vi a)
{
    return __builtin_convertvector((v32)a, vf);
}

static inline vi vfbits(vf a)
{
    return (vi)a;
}

static inline vf vfof(vi a)
{
    return (vf)a;
}

static inline vf vfsum(vf a, vf b)
{
    return a + b;
}

/* a * b + c and c - a * b; may be fused or not, used where that makes no difference */
static inline vf vfmadd(vf a, vf b, vf c)
{
    return a * b + c;
}

static inline vf vfnmadd(vf a, vf b, vf c)
{
    return c - a * b;
}

static inline vf vfsixth(vf a)
{
    return a / vfset(6);
}

/* LANE floats within 16 bits to bytes, truncated and clipped. */
static inline vi vfbytes(const float *p)
{
    return vpack16(vpack32(vfint(vfget(p)), vfint(vfget(p + 4))), vpack32(vfint(vfget(p + 8)), vfint(vfget(p + 12))));
}

static inline uint64_t vsum32(vi a)
{
    const vu32 x = (vu32)a;
    return (uint64_t)x[0] + x[1] + x[2] + x[3];
}

static inline void vinterleave(uint8_t *to, vi r, vi g, vi b)
{
    for (int i = 0; i < LANE; i++) {
        to[3 * i] = r[i];
        to[3 * i + 1] = g[i];
        to[3 * i + 2] = b[i];
    }
}

static inline vi vsolarize(vi a)
{
    typedef int8_t s8 __attribute__((vector_size(16)));
    return a ^ (vi)((s8)a < 0);
}

#define KERNELS tw_kernels_plain
#define KERNELS_NAME "plain"
#define BY_TABLE true
#include "image/kernels_body.h"
