/* Elements of stored tensors as numbers and in words. */
#include "checkpoint/checkpoint.h"

#include "core/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static float from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float from_f16(uint16_t h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    float v = exponent != 0 ? ldexpf((float)(1024 + mantissa), exponent - 25) : ldexpf((float)mantissa, -24);
    if (exponent == 31)
        v = mantissa != 0 ? NAN : INFINITY;
    return h >> 15 != 0 ? -v : v;
}

static float element(const unsigned char *data, tw_dtype dtype, int64_t i)
{
    uint16_t half;
    double d;
    float f;
    switch (dtype) {
    case TW_F16:
        memcpy(&half, data + 2 * i, sizeof half);
        return from_f16(half);
    case TW_BF16:
        memcpy(&half, data + 2 * i, sizeof half);
        return from_bits((uint32_t)half << 16);
    case TW_F64:
        memcpy(&d, data + 8 * i, sizeof d);
        return (float)d;
    default:
        memcpy(&f, data + 4 * i, sizeof f);
        return f;
    }
}

int tw_tensor_to_f32(float *out, const tw_tensor *t)
{
    const int64_t n = tw_tensor_elements(t);
    if (t->dtype != TW_F16 && t->dtype != TW_BF16 && t->dtype != TW_F32 && t->dtype != TW_F64)
        return tw_fail("of type %s, where floating-point numbers are wanted", tw_dtype_name(t->dtype));
    for (int64_t i = 0; i < n; i++) {
        out[i] = element(t->data, t->dtype, i);
        if (!isfinite(out[i]))
            return tw_fail("element %lld is %s", (long long)i, isnan(out[i]) ? "NaN" : "infinite");
    }
    return 0;
}

const char *tw_tensor_describe(char *text, size_t size, const tw_tensor *t)
{
    size_t n = (size_t)snprintf(text, size, "%s [", tw_dtype_name(t->dtype));
    for (int i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%lld", i > 0 ? ", " : "", (long long)t->dim[i]);
    if (n < size)
        snprintf(text + n, size - n, "]");
    return text;
}
