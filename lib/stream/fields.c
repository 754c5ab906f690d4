#include "stream/fields.h"

#include "core/error.h"

#include <string.h>

static const char *const type_names[] = {"nil", "a boolean", "a negative integer", "an integer", "a float", "a string", "bytes",
                                         "an extension", "a list", "a map"};

int tw_field_int(int64_t *v, tw_cursor *c, const char *name, bool nil)
{
    tw_msg m;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    if (nil && m.type == TW_MSG_NIL) {
        *v = -1;
        return 0;
    }
    if (m.type != TW_MSG_UINT || m.u > INT64_MAX)
        return tw_fail("%s: want an integer from 0%s, got %s", name, nil ? " or nil" : "", type_names[m.type]);
    *v = (int64_t)m.u;
    return 0;
}

int tw_field_u64(uint64_t *v, tw_cursor *c, const char *name)
{
    tw_msg m;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    if (m.type != TW_MSG_UINT)
        return tw_fail("%s: want an integer from 0, got %s", name, type_names[m.type]);
    *v = m.u;
    return 0;
}

int tw_field_bytes(const void **data, size_t *size, tw_cursor *c, const char *name, tw_msg_type type)
{
    tw_msg m;
    const unsigned char *payload;
    if (tw_cursor_next(c, &m, &payload) != 0)
        return -1;
    if (m.type != type)
        return tw_fail("%s: want %s, got %s", name, type_names[type], type_names[m.type]);
    *data = payload;
    *size = m.n;
    return 0;
}

static int read_shape(tw_tensor *t, tw_cursor *c, const char *name)
{
    tw_msg m;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    if (m.type != TW_MSG_ARRAY || m.n > TW_MAX_RANK)
        return tw_fail("%s: its shape is no list of at most %d integers", name, TW_MAX_RANK);
    t->rank = (int)m.n;
    for (int i = 0; i < t->rank; i++)
        if (tw_field_int(&t->dim[i], c, name, false) != 0)
            return -1;
    return 0;
}

static int check_tensor(const tw_tensor *t, size_t size, const char *name, int rank)
{
    if (t->rank != rank)
        return tw_fail("%s: want a tensor of rank %d, got %d", name, rank, t->rank);
    for (int i = 0; i < rank; i++)
        if (t->dim[i] < 1)
            return tw_fail("%s: dimension %d is 0", name, i);
    const int64_t bytes = tw_tensor_bytes(t);
    if (bytes < 0)
        return tw_fail("%s: %s", name, tw_error());
    if ((uint64_t)bytes != size)
        return tw_fail("%s: its shape wants %lld bytes of data, there are %zu", name, (long long)bytes, size);
    return 0;
}

/* A tensor of this dtype; f16 will do for f32. */
static int read_tensor(tw_tensor *t, tw_cursor *c, const char *name, tw_dtype dtype, int rank)
{
    enum { ND = 1, TYPE = 2, SHAPE = 4, DATA = 8 };
    const bool half = dtype == TW_F32;
    const char *want = half ? "<f4" : "|u1";
    const unsigned char *key, *payload;
    size_t size = 0;
    int seen = 0;
    tw_msg m, k, v;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    if (m.type != TW_MSG_MAP)
        return tw_fail("%s: want a tensor, got %s", name, type_names[m.type]);
    *t = (tw_tensor){.dtype = dtype};
    for (size_t i = 0; i < m.n; i++) {
        if (tw_cursor_next(c, &k, &key) != 0)
            return -1;
        if (tw_msg_is(&k, key, "shape")) {
            if (read_shape(t, c, name) != 0)
                return -1;
            seen |= SHAPE;
            continue;
        }
        tw_cursor value = *c;
        if (tw_cursor_skip(c) != 0 || tw_cursor_next(&value, &v, &payload) != 0)
            return -1;
        if (tw_msg_is(&k, key, "nd") && v.type == TW_MSG_BOOL && v.yes) {
            seen |= ND;
        } else if (tw_msg_is(&k, key, "type")) {
            if (half && tw_msg_is(&v, payload, "<f2"))
                t->dtype = TW_F16;
            else if (!tw_msg_is(&v, payload, want))
                return tw_fail("%s: want elements of type '%s'%s", name, want, half ? " or '<f2'" : "");
            seen |= TYPE;
        } else if (tw_msg_is(&k, key, "data") && v.type == TW_MSG_BIN) {
            t->data = payload;
            size = v.n;
            seen |= DATA;
        }
    }
    if (seen != (ND | TYPE | SHAPE | DATA))
        return tw_fail("%s: not a tensor as msgpack-numpy writes it (nd, type, shape, data)", name);
    return check_tensor(t, size, name, rank);
}

int tw_field_vector(tw_tensor *t, tw_cursor *c, const char *name)
{
    return read_tensor(t, c, name, TW_F32, 1);
}

int tw_field_image(tw_tensor *t, tw_cursor *c, const char *name)
{
    if (read_tensor(t, c, name, TW_U8, 3) != 0)
        return -1;
    if (t->dim[2] != 3)
        return tw_fail("%s: want 3 channels, got %lld", name, (long long)t->dim[2]);
    return 0;
}

int tw_field_key(const char **key, size_t *size, tw_cursor *c)
{
    const void *data = NULL;
    if (tw_field_bytes(&data, size, c, "key of the record", TW_MSG_STR) != 0)
        return -1;
    *key = data;
    return 0;
}

int tw_field_find(const char *const *names, const char *key, size_t size)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strlen(names[i]) == size && memcmp(names[i], key, size) == 0)
            return i;
    return -1;
}
