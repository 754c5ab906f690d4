#include "core/tensor.h"

#include "core/error.h"

static const struct {
    const char *name;
    size_t size;
} types[TW_DTYPES] = {
    [TW_U8] = {"u8", 1},           [TW_I32] = {"i32", 4},   [TW_I64] = {"i64", 8},           [TW_F16] = {"f16", 2},
    [TW_BF16] = {"bf16", 2},       [TW_F32] = {"f32", 4},   [TW_F64] = {"f64", 8},           [TW_BOOL] = {"bool", 1},
    [TW_I8] = {"i8", 1},           [TW_I16] = {"i16", 2},   [TW_U16] = {"u16", 2},           [TW_U32] = {"u32", 4},
    [TW_U64] = {"u64", 8},         [TW_C64] = {"c64", 8},   [TW_F8_E4M3] = {"f8_e4m3", 1},
    [TW_F8_E5M2] = {"f8_e5m2", 1}, [TW_C128] = {"c128", 16},
};

size_t tw_dtype_size(tw_dtype t)
{
    return types[t].size;
}

const char *tw_dtype_name(tw_dtype t)
{
    return types[t].name;
}

int64_t tw_tensor_elements(const tw_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 0 || __builtin_mul_overflow(n, t->dim[i], &n))
            return tw_fail("tensor: dimension %d (%lld) is out of range", i, (long long)t->dim[i]);
    return n;
}

int64_t tw_tensor_bytes(const tw_tensor *t)
{
    int64_t n = tw_tensor_elements(t);
    if (n >= 0 && __builtin_mul_overflow(n, (int64_t)tw_dtype_size(t->dtype), &n))
        return tw_fail("tensor: too large");
    return n;
}
