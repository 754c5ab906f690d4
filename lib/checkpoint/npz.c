/* numpy.savez: a zip of .npy files. */
#include "checkpoint/contents.h"
#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const tw_numpy_types[TW_DTYPES] = {
    [TW_U8] = "u1",  [TW_I32] = "i4", [TW_I64] = "i8",  [TW_F16] = "f2", [TW_F32] = "f4", [TW_F64] = "f8", [TW_BOOL] = "b1",
    [TW_I8] = "i1",  [TW_I16] = "i2", [TW_U16] = "u2",  [TW_U32] = "u4", [TW_U64] = "u8", [TW_C64] = "c8", [TW_C128] = "c16",
};

bool tw_numpy_dtype(tw_dtype *to, const char *word, size_t n)
{
    for (int t = 0; t < TW_DTYPES; t++)
        if (tw_numpy_types[t] != NULL && strlen(tw_numpy_types[t]) == n && memcmp(tw_numpy_types[t], word, n) == 0) {
            *to = (tw_dtype)t;
            return true;
        }
    return false;
}

/* The text after 'KEY': in the header's dict. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    return at != NULL ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : "";
}

static int read_shape(tw_tensor *t, const char *text)
{
    t->rank = 0;
    if (*text++ != '(')
        return tw_fail("no shape");
    for (;;) {
        text += strspn(text, " ,");
        if (*text == ')')
            return 0;
        char *end;
        if (t->rank == TW_MAX_RANK || strspn(text, "0123456789") == 0 || strspn(text, "0123456789") > 18)
            return tw_fail("its shape cannot be parsed");
        t->dim[t->rank++] = strtoll(text, &end, 10);
        text = end;
    }
}

/* Parses {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */
static int read_header(tw_tensor *t, const char *header)
{
    const char *descr = value_of(header, "descr"), *order = value_of(header, "fortran_order");
    if (descr[0] != '\'' || (descr[1] != '<' && descr[1] != '|') || !tw_numpy_dtype(&t->dtype, descr + 2, strcspn(descr + 2, "'")))
        return tw_fail("type %.20s is not supported", descr);
    if (read_shape(t, value_of(header, "shape")) != 0)
        return -1;
    if (strncmp(order, "False", 5) != 0 && t->rank > 1)
        return tw_fail("in Fortran order, want C order");
    return 0;
}

static int read_array(tw_tensor *t, const tw_zip_entry *e)
{
    char header[4096];
    if (e->size < 12 || memcmp(e->data, "\x93NUMPY", 6) != 0)
        return tw_fail("not an .npy file");
    const bool wide = e->data[6] > 1;
    const size_t at = wide ? 12 : 10;
    size_t n = (size_t)e->data[8] | (size_t)e->data[9] << 8;
    if (wide)
        n |= (size_t)e->data[10] << 16 | (size_t)e->data[11] << 24;
    if (n > e->size - at || n >= sizeof header)
        return tw_fail("a header of %zu bytes", n);
    memcpy(header, e->data + at, n);
    header[n] = '\0';
    *t = (tw_tensor){.data = e->data + at + n};
    if (read_header(t, header) != 0)
        return -1;
    const int64_t bytes = tw_tensor_bytes(t);
    if (bytes < 0 || (uint64_t)bytes != e->size - at - n)
        return bytes < 0 ? -1 : tw_fail("its shape needs %lld bytes, it has %zu", (long long)bytes, e->size - at - n);
    return 0;
}

int tw_npz_read(tw_contents *c, const tw_zip *z)
{
    char name[1024];
    for (int i = 0; i < z->n; i++) {
        const tw_zip_entry *e = &z->entry[i];
        const size_t n = e->name_size;
        tw_tensor t;
        if (n < 5 || n >= sizeof name || memcmp(e->name + n - 4, ".npy", 4) != 0 || memchr(e->name, '\0', n) != NULL)
            return tw_fail("entry %.*s: not an array (NAME.npy)", (int)(n < 200 ? n : 200), e->name);
        snprintf(name, sizeof name, "%.*s", (int)n - 4, e->name);
        if (!tw_zip_intact(e) || read_array(&t, e) != 0)
            return tw_fail("array %.200s: %s", name, tw_error());
        if (tw_contents_tensor(c, name, &t) != 0)
            return -1;
    }
    return 0;
}
