#include "checkpoint/pickle_numpy.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/contents.h"
#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tw_py_dtype(tw_dtype *to, const tw_py *dtype)
{
    return dtype->n > 0 && dtype->item[0]->kind == TW_PY_STR && tw_numpy_dtype(to, dtype->item[0]->s, dtype->item[0]->n);
}

bool tw_py_is_big_endian(const tw_py *dtype)
{
    const tw_py *order = dtype->n > 1 ? dtype->item[1] : NULL;
    return order != NULL && order->kind == TW_PY_STR && order->n == 1 && order->s[0] == '>';
}

int tw_py_latin1(unsigned char *to, size_t bytes, const tw_py *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; n++) {
        unsigned c = (unsigned char)text->s[i++];
        if (c >= 0x80) {
            const unsigned more = i < text->n ? (unsigned char)text->s[i++] : 0;
            if ((c != 0xc2 && c != 0xc3) || (more & 0xc0) != 0x80)
                return tw_fail("a byte string with a character above 255");
            c = (c & 3) << 6 | (more & 0x3f);
        }
        if (n < bytes)
            to[n] = (unsigned char)c;
    }
    return n == bytes ? 0 : tw_fail("its shape needs %zu bytes, it has %zu", bytes, n);
}

/* The double of the shortest decimal that reads back as the same f32. */
static double shortest(double f32)
{
    char text[32];
    double v = f32;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f32);
        v = strtod(text, NULL);
        if ((float)v == (float)f32)
            break;
    }
    return v;
}

tw_py tw_py_number(const tw_py *scalar)
{
    static const tw_py none = {.kind = TW_PY_OPAQUE};
    unsigned char bytes[16] = {0};
    tw_tensor t = {.rank = 0, .data = bytes};
    int64_t i;
    if (scalar->n != 2 || scalar->item[0]->kind != TW_PY_DTYPE || !tw_py_dtype(&t.dtype, scalar->item[0]) ||
        tw_py_is_big_endian(scalar->item[0]) || tw_tensor_is_complex(&t))
        return none;
    const size_t size = tw_dtype_size(t.dtype);
    const tw_py *data = scalar->item[1];
    if (data->kind == TW_PY_STR && data->n == size)
        memcpy(bytes, data->s, size);
    else if (data->kind != TW_PY_LATIN1 || tw_py_latin1(bytes, size, data) != 0)
        return none;
    const double v = tw_tensor_element(&t, 0);
    if (t.dtype == TW_F64)
        return (tw_py){.kind = TW_PY_FLOAT, .f = v};
    if (t.dtype == TW_F32 || t.dtype == TW_F16)
        return (tw_py){.kind = TW_PY_FLOAT, .f = shortest(v)};
    if (t.dtype == TW_BOOL)
        return (tw_py){.kind = TW_PY_BOOL, .i = v != 0};
    if (size < 8)
        return (tw_py){.kind = TW_PY_INT, .i = (int64_t)v};
    memcpy(&i, bytes, sizeof i); /* a double cannot hold all 64 bits */
    return t.dtype == TW_U64 && i < 0 ? none : (tw_py){.kind = TW_PY_INT, .i = i};
}
