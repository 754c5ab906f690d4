#include "image/view.h"

#include "core/mem.h"

#include <msgpack/pack.h>
#include <string.h>

static int put(void *data, const char *bytes, size_t n)
{
    tw_trace *t = data;
    if (tw_grow(&t->data, &t->cap, t->size + n, 1) != 0)
        return -1;
    memcpy(t->data + t->size, bytes, n);
    t->size += n;
    return 0;
}

static int put_text(msgpack_packer *pk, const char *text)
{
    return msgpack_pack_str_with_body(pk, text, strlen(text));
}

static int put_bool(msgpack_packer *pk, const char *key, bool yes)
{
    return put_text(pk, key) || (yes ? msgpack_pack_true(pk) : msgpack_pack_false(pk));
}

static int put_ints(msgpack_packer *pk, const char *key, const int *value, size_t n)
{
    int rc = put_text(pk, key) || msgpack_pack_array(pk, n);
    for (size_t i = 0; i < n; i++)
        rc = rc || msgpack_pack_int(pk, value[i]);
    return rc;
}

/* Writes one view's parameters; floating-point numbers as doubles, exactly as they were used. */
static int put_view(msgpack_packer *pk, const tw_view *v)
{
    const int resize[2] = {v->resize_h, v->resize_w};
    const int crop[4] = {v->crop.top, v->crop.left, v->crop.height, v->crop.width};
    const int erased[4] = {v->erased.top, v->erased.left, v->erased.height, v->erased.width};
    int rc = msgpack_pack_map(pk, 6 + (v->resize_w > 0) + (v->erased.height > 0));
    if (v->resize_w > 0)
        rc = rc || put_ints(pk, "resize", resize, 2);
    rc = rc || put_ints(pk, "crop", crop, 4) || put_bool(pk, "flip", v->flip);
    rc = rc || put_text(pk, "jitter") || msgpack_pack_array(pk, (size_t)v->n_steps);
    for (int i = 0; i < v->n_steps; i++)
        rc = rc || msgpack_pack_array(pk, 2) || put_text(pk, tw_step_names[v->step[i].kind]) ||
             msgpack_pack_double(pk, v->step[i].value);
    rc = rc || put_bool(pk, "grey", v->grey) || put_text(pk, "blur");
    rc = rc || (v->sigma > 0 ? msgpack_pack_double(pk, v->sigma) : msgpack_pack_nil(pk));
    rc = rc || put_bool(pk, "solarize", v->solarize);
    return rc || (v->erased.height > 0 && put_ints(pk, "erase", erased, 4));
}

int tw_trace_views(tw_trace *t, const tw_view *v, int n)
{
    msgpack_packer pk;
    t->size = 0;
    msgpack_packer_init(&pk, t, put);
    int rc = msgpack_pack_array(&pk, (size_t)n);
    for (int i = 0; i < n; i++)
        rc = rc || put_view(&pk, &v[i]);
    return rc != 0 ? -1 : 0;
}
