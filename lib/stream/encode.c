#include "stream/encode.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"

#include <msgpack/pack.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors travel as they lie in memory: '<f4'");

enum { BY_REFERENCE = 16384 }; /* payloads of at least so many bytes are cheaper to reference than to copy */

/* A record being encoded. parts NULL: everything is copied. */
typedef struct {
    tw_bytes *out;
    tw_parts *parts;
    size_t start;   /* offset of the record in out */
    size_t keys;    /* of the record's map, crc included */
    uint32_t crc;   /* of the record up to offset `summed` in out, including the parts before it */
    size_t summed;
    msgpack_packer pk;
} encoder;

static int put(void *data, const char *bytes, size_t n)
{
    encoder *e = data;
    return tw_bytes_append(e->out, bytes, n);
}

static void sum(encoder *e)
{
    e->crc = tw_crc32c(e->crc, e->out->data + e->summed, e->out->size - e->summed);
    e->summed = e->out->size;
}

static int put_large(encoder *e, const void *data, size_t n)
{
    tw_parts *p = e->parts;
    if (p == NULL || n < BY_REFERENCE)
        return put(e, data, n);
    if (tw_grow(&p->part, &p->cap, p->n + 1, sizeof *p->part) != 0)
        return -1;
    sum(e);
    e->crc = tw_crc32c(e->crc, data, n);
    p->part[p->n++] = (tw_part){e->out->size, data, n};
    return 0;
}

/* From here on "rc = rc || a || b": in that order, and nothing more after the first that fails. */
static int begin(encoder *e, tw_bytes *out, tw_parts *parts, size_t keys)
{
    *e = (encoder){.out = out, .parts = parts, .start = out->size, .keys = keys + 1, .summed = out->size};
    msgpack_packer_init(&e->pk, e, put);
    return msgpack_pack_map(&e->pk, e->keys);
}

/* Appends the crc, always as a 5-byte uint32, and checks the limits. rc: result so far; as in the functions below, "rc = rc || a || b" does
 * nothing more after the first failure. most: largest size of the record, bytes. On failure the record is removed from out. */
static int finish(encoder *e, int rc, size_t most)
{
    sum(e);
    rc = rc || msgpack_pack_str_with_body(&e->pk, "crc", 3);
    rc = rc || msgpack_pack_fix_uint32(&e->pk, e->crc);
    size_t size = e->out->size - e->start;
    for (size_t i = 0; e->parts != NULL && i < e->parts->n; i++)
        size += e->parts->part[i].size;
    if (rc == 0 && size > most)
        rc = tw_fail("a record of %zu bytes; one has at most %zu", size, most);
    if (rc == 0 && e->keys > TW_MOST_KEYS)
        rc = tw_fail("a record of %zu keys; one has at most %d", e->keys, TW_MOST_KEYS);
    if (rc != 0)
        e->out->size = e->start;
    return rc != 0 ? -1 : 0;
}

static int put_str(encoder *e, const char *text, size_t n)
{
    if (n > UINT32_MAX)
        return tw_fail("a string of %zu bytes does not fit in a record", n);
    return msgpack_pack_str_with_body(&e->pk, text, n);
}

static int put_bin(encoder *e, const void *data, size_t n)
{
    if (n > UINT32_MAX)
        return tw_fail("%zu bytes do not fit in a record", n);
    return msgpack_pack_bin(&e->pk, n) || put_large(e, data, n);
}

static int put_key(encoder *e, const char *name)
{
    return put_str(e, name, strlen(name));
}

/* nil_below_0: a negative v is written as nil; else it is an error. */
static int put_int(encoder *e, const char *name, int64_t v, bool nil_below_0)
{
    if (v < 0 && !nil_below_0)
        return tw_fail("%s: %lld is below 0", name, (long long)v);
    return put_key(e, name) || (v < 0 ? msgpack_pack_nil(&e->pk) : msgpack_pack_int64(&e->pk, v));
}

/* Writes what msgpack-numpy's encode() writes: the same keys, all of type bin, in the same order. */
static int put_tensor(encoder *e, const tw_tensor *t)
{
    const char *type = t->dtype == TW_U8 ? "|u1" : t->dtype == TW_F32 ? "<f4" : t->dtype == TW_F16 ? "<f2" : NULL;
    const int64_t bytes = tw_tensor_bytes(t);
    if (bytes < 0)
        return -1;
    if (type == NULL || t->rank < 1 || t->rank > TW_MAX_RANK)
        return tw_fail("a tensor of type %s and rank %d has no place in a record", tw_dtype_name(t->dtype), t->rank);
    int rc = msgpack_pack_map(&e->pk, 5);
    rc = rc || msgpack_pack_bin_with_body(&e->pk, "nd", 2) || msgpack_pack_true(&e->pk);
    rc = rc || msgpack_pack_bin_with_body(&e->pk, "type", 4) || put_key(e, type);
    rc = rc || msgpack_pack_bin_with_body(&e->pk, "kind", 4) || msgpack_pack_bin(&e->pk, 0);
    rc = rc || msgpack_pack_bin_with_body(&e->pk, "shape", 5) || msgpack_pack_array(&e->pk, (size_t)t->rank);
    for (int i = 0; i < t->rank; i++)
        rc = rc || msgpack_pack_int64(&e->pk, t->dim[i]);
    rc = rc || msgpack_pack_bin_with_body(&e->pk, "data", 4) || put_bin(e, t->data, (size_t)bytes);
    return rc;
}

static int put_named_tensor(encoder *e, const char *name, const tw_tensor *t)
{
    return t->data != NULL ? put_key(e, name) || put_tensor(e, t) : 0;
}

static int put_strings(encoder *e, const char *const *text, int n)
{
    int rc = msgpack_pack_array(&e->pk, (size_t)n);
    for (int i = 0; i < n; i++)
        rc = rc || put_str(e, text[i], strlen(text[i]));
    return rc;
}

int tw_encode_header(tw_bytes *out, const tw_header *h)
{
    encoder e;
    char share[64];
    int rc = begin(&e, out, NULL, 8 + (h->share.ranks > 1) + (h->data_checksum != 0) + (h->network != 0) + (size_t)h->n_extra);
    rc = rc || put_int(&e, "twist", 1, false);
    rc = rc || put_key(&e, "kind") || put_key(&e, tw_kind_names[h->kind]);
    rc = rc || put_int(&e, "samples", h->samples, true) || put_int(&e, "epochs", h->epochs, true);
    rc = rc || put_int(&e, "first_epoch", h->first_epoch, false);
    rc = rc || put_key(&e, "seed") || msgpack_pack_uint64(&e.pk, h->seed);
    rc = rc || put_key(&e, "classes");
    rc = rc || (h->n_classes < 0 ? msgpack_pack_nil(&e.pk) : put_strings(&e, h->classes, h->n_classes));
    if (h->share.ranks > 1) {
        snprintf(share, sizeof share, "%d/%d/%lld", h->share.rank, h->share.ranks, (long long)h->share.block);
        rc = rc || put_key(&e, "shard") || put_key(&e, share);
    }
    if (h->data_checksum != 0)
        rc = rc || put_int(&e, "data_checksum", h->data_checksum, false);
    if (h->network != 0)
        rc = rc || put_int(&e, "network", h->network, false);
    rc = rc || put_key(&e, "history") || put_strings(&e, h->history, h->n_history);
    rc = rc || put(&e, h->extra, h->extra_size);
    return finish(&e, rc, TW_MOST_HEADER);
}

static size_t count_keys(const tw_sample *s)
{
    return 5 + (s->sub >= 0) + (s->bytes != NULL) + (s->image.data != NULL) + (s->n_views > 0) + (s->features.data != NULL) +
           (s->logits.data != NULL) + (s->probs.data != NULL) + (s->trace != NULL) + (size_t)s->n_extra;
}

static int encode_sample(tw_bytes *out, tw_parts *parts, const tw_sample *s)
{
    encoder e;
    int rc = begin(&e, out, parts, count_keys(s));
    rc = rc || put_key(&e, "key") || put_str(&e, s->key, s->key_size);
    rc = rc || put_int(&e, "index", s->index, false) || put_int(&e, "epoch", s->epoch, false) || put_int(&e, "pos", s->pos, false);
    rc = rc || put_int(&e, "label", s->label, true);
    if (s->sub >= 0)
        rc = rc || put_int(&e, "sub", s->sub, false);
    if (s->bytes != NULL)
        rc = rc || put_key(&e, "bytes") || put_bin(&e, s->bytes, s->bytes_size);
    rc = rc || put_named_tensor(&e, "image", &s->image);
    if (s->n_views > 0)
        rc = rc || put_key(&e, "views") || msgpack_pack_array(&e.pk, (size_t)s->n_views);
    for (int i = 0; i < s->n_views; i++)
        rc = rc || put_tensor(&e, &s->views[i]);
    rc = rc || put_named_tensor(&e, "features", &s->features);
    rc = rc || put_named_tensor(&e, "logits", &s->logits);
    rc = rc || put_named_tensor(&e, "probs", &s->probs);
    if (s->trace != NULL)
        rc = rc || put_key(&e, "trace") || put(&e, s->trace, s->trace_size);
    rc = rc || put(&e, s->extra, s->extra_size);
    return finish(&e, rc, TW_MOST_RECORD);
}

int tw_encode_sample(tw_bytes *out, const tw_sample *s)
{
    return encode_sample(out, NULL, s);
}

int tw_parts_sample(tw_parts *p, const tw_sample *s)
{
    p->text.size = p->n = 0;
    return encode_sample(&p->text, p, s);
}

void tw_parts_fini(tw_parts *p)
{
    free(p->text.data);
    free(p->part);
    *p = (tw_parts){0};
}

int tw_encode_end(tw_bytes *out, const tw_end *end)
{
    encoder e;
    int rc = begin(&e, out, NULL, 3);
    rc = rc || put_key(&e, "end") || msgpack_pack_true(&e.pk) || put_int(&e, "samples", end->samples, false);
    rc = rc || put_int(&e, "skipped", end->skipped, false);
    return finish(&e, rc, TW_MOST_RECORD);
}
