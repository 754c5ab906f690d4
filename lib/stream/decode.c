#include "stream/decode.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"
#include "stream/fields.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const header_keys[] = {"twist", "kind", "samples", "epochs", "first_epoch", "seed",
                                         "classes", "history", "shard", "data_checksum", "network", "crc", NULL};
enum { H_TWIST, H_KIND, H_SAMPLES, H_EPOCHS, H_FIRST_EPOCH, H_SEED, H_CLASSES, H_HISTORY, H_SHARD, H_DATA_CHECKSUM, H_NETWORK, H_CRC };
static const char *const sample_keys[] = {"key", "index", "epoch", "pos", "label", "sub", "bytes", "image", "views", "features",
                                          "logits", "probs", "trace", "crc", NULL};
enum { S_KEY, S_INDEX, S_EPOCH, S_POS, S_LABEL, S_SUB, S_BYTES, S_IMAGE, S_VIEWS, S_FEATURES, S_LOGITS, S_PROBS, S_TRACE, S_CRC };
static const char *const end_keys[] = {"end", "samples", "skipped", "crc", NULL};
enum { E_END, E_SAMPLES, E_SKIPPED };

int tw_check_crc(const unsigned char *record, size_t size, size_t last_key, uint32_t *whole)
{
    tw_cursor c = {record + last_key, record + size};
    const char *key;
    size_t key_size;
    uint64_t said = 0;
    if (size == 0 || tw_field_key(&key, &key_size, &c) != 0)
        return tw_fail("an empty record");
    const bool has = key_size == 3 && memcmp(key, "crc", 3) == 0;
    if (has && tw_field_u64(&said, &c, "crc") != 0)
        return -1;
    const uint32_t is = has || whole != NULL ? tw_crc32c(0, record, last_key) : 0;
    if (whole != NULL)
        *whole = tw_crc32c(is, record + last_key, size - last_key);
    return !has || said == is ? 0 : tw_fail("its crc says %08llx, its bytes give %08x: they changed on the way", (unsigned long long)said, is);
}

/* Iterates over a record's fields: index of the field's name in names (-1: unknown), and the bytes of key and value. */
typedef struct {
    tw_cursor c;
    size_t left;
    unsigned seen; /* bit i: names[i] has come */
    const char *const *names;
    int field;
    const unsigned char *start;
    tw_cursor value;
} walk;

static int walk_begin(walk *w, const char *const *names, const unsigned char *record, size_t size)
{
    tw_msg m;
    *w = (walk){.c = {record, record + size}, .names = names};
    if (tw_cursor_next(&w->c, &m, NULL) != 0)
        return -1;
    w->left = m.n;
    return 0;
}

/* 1: the next field; 0: none left; -1 and tw_error() for a repeated field, or one after the crc. */
static int walk_next(walk *w)
{
    const char *key;
    size_t size;
    if (w->left == 0)
        return 0;
    w->left--;
    w->start = w->c.p;
    if (tw_field_key(&key, &size, &w->c) != 0)
        return -1;
    w->value = w->c;
    if (tw_cursor_skip(&w->c) != 0)
        return -1;
    w->value.end = w->c.p;
    w->field = tw_field_find(w->names, key, size);
    if (w->field < 0)
        return 1;
    if (w->seen >> w->field & 1)
        return tw_fail("%s: comes twice", w->names[w->field]);
    w->seen |= 1u << w->field;
    if (w->left > 0 && strcmp(w->names[w->field], "crc") == 0)
        return tw_fail("crc: not the last field");
    return 1;
}

static int require(const walk *w, unsigned wanted)
{
    for (int i = 0; w->names[i] != NULL; i++)
        if (wanted >> i & 1 && !(w->seen >> i & 1))
            return tw_fail("%s: missing", w->names[i]);
    return 0;
}

/* The unknown fields: total bytes, number, and number of contiguous runs in the record. */
typedef struct {
    size_t size;
    int n, runs;
} extras;

static int find_extras(extras *x, const char *const *names, const unsigned char *record, size_t size)
{
    walk w;
    int rc;
    bool before = false;
    *x = (extras){0};
    if (walk_begin(&w, names, record, size) != 0)
        return -1;
    while ((rc = walk_next(&w)) == 1) {
        const bool unknown = w.field < 0;
        x->runs += unknown && !before;
        x->n += unknown;
        x->size += unknown ? (size_t)(w.c.p - w.start) : 0;
        before = unknown;
    }
    return rc;
}

/* Called for each unknown field in turn. copy NULL: they are contiguous and stay in the record; else they are copied there. */
static void add_extra(const void **all, size_t *used, unsigned char *copy, const walk *w)
{
    const size_t n = (size_t)(w->c.p - w->start);
    if (copy != NULL) {
        memcpy(copy + *used, w->start, n);
        *all = copy;
    } else if (*used == 0) {
        *all = w->start;
    }
    *used += n;
}

static int read_kind(tw_kind *kind, tw_cursor *c)
{
    const void *text;
    size_t size;
    if (tw_field_bytes(&text, &size, c, "kind", TW_MSG_STR) != 0)
        return -1;
    const int k = tw_field_find(tw_kind_names, text, size);
    if (k < 0)
        return tw_fail("kind: none of files, images, views, features");
    *kind = (tw_kind)k;
    return 0;
}

/* Free space for the strings of a header, which are copied out of the record and NUL-terminated. */
typedef struct {
    const char **item; /* items not used yet */
    char *text;        /* bytes not used yet */
} strings;

static int count_strings(size_t *n, tw_cursor c)
{
    tw_msg m;
    if (tw_cursor_next(&c, &m, NULL) != 0)
        return -1;
    *n += m.type == TW_MSG_ARRAY ? m.n : 0;
    return 0;
}

static int read_strings(const char ***list, int *n, strings *room, tw_cursor *c, const char *name)
{
    tw_msg m;
    const void *text;
    size_t size;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    *list = NULL;
    *n = -1;
    if (m.type == TW_MSG_NIL)
        return 0;
    if (m.type != TW_MSG_ARRAY || m.n > INT_MAX)
        return tw_fail("%s: neither a list nor nil", name);
    *list = room->item;
    *n = (int)m.n;
    for (size_t i = 0; i < m.n; i++) {
        if (tw_field_bytes(&text, &size, c, name, TW_MSG_STR) != 0)
            return -1;
        if (memchr(text, '\0', size) != NULL)
            return tw_fail("%s: a name with a NUL byte", name);
        *room->item++ = memcpy(room->text, text, size);
        room->text += size;
        *room->text++ = '\0';
    }
    return 0;
}

/* Allocates one block for the string pointers of classes and history, their text (at most the record's size, and a NUL each) and the
 * unknown fields. NULL and tw_error(). */
static void *header_room(strings *room, unsigned char **extra, const unsigned char *record, size_t size)
{
    walk w;
    size_t n = 0;
    int rc = walk_begin(&w, header_keys, record, size);
    while (rc == 0 && w.left > 0) {
        rc = walk_next(&w) < 0 ? -1 : 0;
        if (rc == 0 && (w.field == H_CLASSES || w.field == H_HISTORY))
            rc = count_strings(&n, w.value);
    }
    char *block = rc == 0 ? tw_calloc(n * (sizeof(char *) + 1) + 2 * size, 1) : NULL;
    if (block == NULL)
        return NULL;
    room->item = (const char **)(void *)block;
    room->text = block + n * sizeof(char *);
    *extra = (unsigned char *)room->text + n + size;
    return block;
}

static int read_share(tw_share *s, tw_cursor *c)
{
    const void *data;
    size_t size;
    char text[64];
    if (tw_field_bytes(&data, &size, c, "shard", TW_MSG_STR) != 0)
        return -1;
    snprintf(text, sizeof text, "%.*s", size < sizeof text ? (int)size : 0, (const char *)data);
    return tw_share_parse(s, text) ? 0 : tw_fail("shard: '%s' is not R/W or R/W/B with 0 <= R < W and B > 0", text);
}

static int header_field(tw_header *h, strings *room, walk *w)
{
    int64_t version = 1;
    switch (w->field) {
    case H_TWIST:
        if (tw_field_int(&version, &w->value, "twist", false) != 0)
            return -1;
        return version == 1 ? 0 : tw_fail("twist: version %lld of the format; this program reads version 1", (long long)version);
    case H_KIND:
        return read_kind(&h->kind, &w->value);
    case H_SAMPLES:
        return tw_field_int(&h->samples, &w->value, "samples", true);
    case H_EPOCHS:
        return tw_field_int(&h->epochs, &w->value, "epochs", true);
    case H_FIRST_EPOCH:
        return tw_field_int(&h->first_epoch, &w->value, "first_epoch", false);
    case H_SEED:
        return tw_field_u64(&h->seed, &w->value, "seed");
    case H_CLASSES:
        return read_strings(&h->classes, &h->n_classes, room, &w->value, "classes");
    case H_HISTORY:
        if (read_strings(&h->history, &h->n_history, room, &w->value, "history") != 0)
            return -1;
        h->n_history = h->n_history < 0 ? 0 : h->n_history;
        return 0;
    case H_SHARD:
        return read_share(&h->share, &w->value);
    case H_DATA_CHECKSUM:
        return tw_field_int(&h->data_checksum, &w->value, "data_checksum", false);
    case H_NETWORK:
        return tw_field_int(&h->network, &w->value, "network", false);
    default:
        return 0;
    }
}

int tw_decode_header(tw_header *h, void **block, const unsigned char *record, size_t size)
{
    walk w;
    strings room;
    unsigned char *extra;
    int rc;
    *h = (tw_header){.samples = -1, .epochs = 1, .n_classes = -1};
    *block = header_room(&room, &extra, record, size);
    if (*block == NULL)
        return -1;
    if (walk_begin(&w, header_keys, record, size) != 0)
        goto err;
    while ((rc = walk_next(&w)) == 1) {
        if (w.field >= 0 && header_field(h, &room, &w) != 0)
            goto err;
        if (w.field < 0) {
            add_extra(&h->extra, &h->extra_size, extra, &w);
            h->n_extra++;
        }
    }
    if (rc != 0)
        goto err;
    if (!(w.seen >> H_TWIST & 1)) {
        tw_fail("not the header of a stream (no key 'twist')");
        goto err;
    }
    if (require(&w, 1u << H_KIND) == 0)
        return 0;
err:
    free(*block);
    *block = NULL;
    return -1;
}

int tw_decode_end(tw_end *e, const unsigned char *record, size_t size)
{
    walk w;
    int rc;
    bool end = false;
    *e = (tw_end){0};
    if (walk_begin(&w, end_keys, record, size) != 0)
        return -1;
    while ((rc = walk_next(&w)) == 1) {
        tw_msg m;
        if (w.field == E_END) {
            if (tw_cursor_next(&w.value, &m, NULL) != 0 || m.type != TW_MSG_BOOL || !m.yes)
                return tw_fail("end: want true");
            end = true;
        }
    }
    if (rc != 0 || !end)
        return rc;
    if (require(&w, 1u << E_SAMPLES) != 0 || walk_begin(&w, end_keys, record, size) != 0)
        return -1;
    while ((rc = walk_next(&w)) == 1) {
        if ((w.field == E_SAMPLES && tw_field_int(&e->samples, &w.value, "samples", false) != 0) ||
            (w.field == E_SKIPPED && tw_field_int(&e->skipped, &w.value, "skipped", false) != 0))
            return -1;
    }
    return rc == 0 ? 1 : -1;
}

static int read_views(tw_sample *s, tw_cursor *c)
{
    tw_msg m;
    if (tw_cursor_next(c, &m, NULL) != 0)
        return -1;
    if (m.type != TW_MSG_ARRAY)
        return tw_fail("views: want a list of tensors");
    for (size_t i = 0; i < m.n; i++) {
        char name[32];
        tw_tensor t;
        snprintf(name, sizeof name, "views[%zu]", i);
        if (tw_field_image(&t, c, name) != 0)
            return -1;
        size_t cap = (size_t)s->views_cap; /* grows with the views decoded, not with the count that the record claims */
        if (tw_grow(&s->views, &cap, i + 1, sizeof *s->views) != 0)
            return -1;
        s->views_cap = (int)cap;
        s->views[s->n_views++] = t;
    }
    return 0;
}

static int sample_field(tw_sample *s, walk *w)
{
    tw_cursor *v = &w->value;
    const char *name = sample_keys[w->field];
    const void *key;
    switch (w->field) {
    case S_KEY:
        if (tw_field_bytes(&key, &s->key_size, v, name, TW_MSG_STR) != 0)
            return -1;
        s->key = key;
        return 0;
    case S_INDEX:
        return tw_field_int(&s->index, v, name, false);
    case S_EPOCH:
        return tw_field_int(&s->epoch, v, name, false);
    case S_POS:
        return tw_field_int(&s->pos, v, name, false);
    case S_LABEL:
        return tw_field_int(&s->label, v, name, true);
    case S_SUB:
        return tw_field_int(&s->sub, v, name, true);
    case S_BYTES:
        return tw_field_bytes(&s->bytes, &s->bytes_size, v, name, TW_MSG_BIN);
    case S_IMAGE:
        return tw_field_image(&s->image, v, name);
    case S_VIEWS:
        return read_views(s, v);
    case S_FEATURES:
        return tw_field_vector(&s->features, v, name);
    case S_LOGITS:
        return tw_field_vector(&s->logits, v, name);
    case S_PROBS:
        return tw_field_vector(&s->probs, v, name);
    case S_TRACE:
        s->trace = v->p;
        s->trace_size = (size_t)(v->end - v->p);
        return 0;
    default:
        return 0;
    }
}

/* Checks that the sample has the fields that its kind of stream requires. */
static int check_kind(const tw_sample *s, tw_kind kind)
{
    const bool has[] = {s->bytes != NULL, s->image.data != NULL, s->n_views > 0,
                        s->features.data != NULL || s->logits.data != NULL || s->probs.data != NULL};
    static const char *const what[] = {"bytes", "image", "views", "features, logits or probs"};
    return has[kind] ? 0 : tw_fail("a stream of %s, but a record without %s", tw_kind_names[kind], what[kind]);
}

/* Marks all fields as absent; keeps the owned memory. */
static void reset(tw_sample *s)
{
    tw_sample empty;
    tw_sample_init(&empty);
    empty.buffer = s->buffer;
    empty.buffer_cap = s->buffer_cap;
    empty.record_size = s->record_size;
    empty.views = s->views;
    empty.views_cap = s->views_cap;
    *s = empty;
}

/* Decodes all fields of the record. x NULL: unknown fields are ignored; copy: see add_extra. */
static int read_fields(tw_sample *s, tw_kind kind, const unsigned char *record, size_t size, const extras *x, unsigned char *copy)
{
    walk w;
    int rc;
    if (walk_begin(&w, sample_keys, record, size) != 0)
        return -1;
    while ((rc = walk_next(&w)) == 1) {
        if (w.field >= 0 && sample_field(s, &w) != 0)
            return -1;
        if (w.field < 0 && x != NULL)
            add_extra(&s->extra, &s->extra_size, copy, &w);
    }
    s->n_extra = x != NULL ? x->n : 0;
    if (rc != 0 || require(&w, 1u << S_KEY | 1u << S_INDEX) != 0)
        return -1;
    return check_kind(s, kind);
}

int tw_decode_sample(tw_sample *s, tw_kind kind)
{
    extras x;
    unsigned char *copy = NULL;
    reset(s);
    if (find_extras(&x, sample_keys, s->buffer, s->record_size) != 0)
        return -1;
    if (x.runs > 1) { /* before anything points into the buffer */
        if (tw_grow(&s->buffer, &s->buffer_cap, s->record_size + x.size, 1) != 0)
            return -1;
        copy = (unsigned char *)s->buffer + s->record_size;
    }
    return read_fields(s, kind, s->buffer, s->record_size, &x, copy);
}

int tw_decode_borrowed(tw_sample *s, tw_kind kind, const void *record, size_t size)
{
    reset(s);
    return read_fields(s, kind, record, size, NULL, NULL);
}
