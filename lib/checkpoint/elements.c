/* Elements of stored tensors as numbers, and descriptions of tensors. */
#include "checkpoint/checkpoint.h"

#include "core/error.h"
#include "core/half.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static float from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Sign, 4 bits of exponent, 3 of fraction; no infinity, one NaN. */
static double from_e4m3(unsigned v)
{
    const int exponent = v >> 3 & 15, fraction = v & 7;
    const double size = exponent == 15 && fraction == 7 ? (double)NAN
                        : exponent == 0                 ? ldexp(fraction, -9)
                                                        : ldexp(8 + fraction, exponent - 10);
    return v >> 7 != 0 ? -size : size;
}

bool tw_tensor_is_complex(const tw_tensor *t)
{
    return t->dtype == TW_C64 || t->dtype == TW_C128;
}

double tw_tensor_element(const tw_tensor *t, int64_t i)
{
    const unsigned char *at = (const unsigned char *)t->data + (size_t)i * tw_dtype_size(t->dtype);
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64[2];
    } v;
    memcpy(&v, at, tw_dtype_size(t->dtype));
    switch (t->dtype) {
    case TW_U8: return v.u8;
    case TW_I32: return v.i32;
    case TW_I64: return (double)v.i64;
    case TW_F16: return (double)tw_half_to_float(v.u16);
    case TW_BF16: return (double)from_bits((uint32_t)v.u16 << 16);
    case TW_F32: return (double)v.f32;
    case TW_F64: return v.f64[0];
    case TW_BOOL: return v.u8 != 0;
    case TW_I8: return v.i8;
    case TW_I16: return v.i16;
    case TW_U16: return v.u16;
    case TW_U32: return v.u32;
    case TW_U64: return (double)v.u64;
    case TW_F8_E4M3: return from_e4m3(v.u8);
    case TW_F8_E5M2: return (double)tw_half_to_float((uint16_t)(v.u8 << 8)); /* the upper byte of an f16 */
    case TW_C64:
    case TW_C128:
    case TW_DTYPES: break;
    }
    return 0;
}

int tw_tensor_to_f32(float *out, const tw_tensor *t)
{
    const int64_t n = tw_tensor_elements(t);
    if (t->dtype != TW_F16 && t->dtype != TW_BF16 && t->dtype != TW_F32 && t->dtype != TW_F64)
        return tw_fail("of type %s, want a floating-point type", tw_dtype_name(t->dtype));
    if (t->dtype == TW_F32)
        memcpy(out, t->data, (size_t)n * sizeof *out);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)tw_tensor_element(t, i);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return tw_fail("element %lld is %s", (long long)i, isnan(out[i]) ? "NaN" : "infinite");
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
