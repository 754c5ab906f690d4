#include "core/half.h"

#include <string.h>

float tw_half_to_float(uint16_t h)
{
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t bits = sign | (exponent + 112) << 23 | mantissa << 13;
    float v;
    if (exponent == 31)
        bits = sign | 0x7f800000 | mantissa << 13;
    if (exponent == 0) { /* subnormal: mantissa * 2^-24 is exact */
        v = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -v : v;
    }
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint16_t from_float(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00; /* NaN */
    if (bits >= 0x477ff000)
        return sign | 0x7c00; /* rounds to 65536 or more */
    if (bits < 0x38800000) {  /* below 2^-14: adding 0.5 leaves the mantissa in the low bits, rounded */
        float half;
        memcpy(&half, &bits, sizeof half);
        half += 0.5f;
        memcpy(&bits, &half, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    const uint32_t odd = bits >> 13 & 1;
    return (uint16_t)(sign | (bits - 0x38000000 + 0xfff + odd) >> 13);
}

void tw_halves_to_floats(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, (const unsigned char *)in + 2 * i, sizeof h);
        out[i] = tw_half_to_float(h);
    }
}

void tw_halves_from_floats(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = from_float(in[i]);
}
