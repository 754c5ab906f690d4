/* PyTorch's files: finds the pickle and the storages. state_dict.c interprets the pickle. */
#include "checkpoint/contents.h"
#include "checkpoint/state_dict.h"
#include "core/error.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICKLE_LIMIT = 64 << 20 };

static bool ends(const tw_zip_entry *e, const char *with)
{
    const size_t n = strlen(with);
    return e->name_size >= n && memcmp(e->name + e->name_size - n, with, n) == 0;
}

typedef struct {
    const tw_zip *zip;
    const char *prefix; /* "archive/" */
    size_t prefix_size;
    bool *intact;       /* per entry: its checksum has been verified */
} archive;

static const tw_zip_entry *find(const archive *a, const char *folder, const char *name, size_t n)
{
    char path[512];
    const int size = snprintf(path, sizeof path, "%.*s%s%.*s", (int)a->prefix_size, a->prefix, folder, (int)n, name);
    return size > 0 && (size_t)size < sizeof path ? tw_zip_find(a->zip, path, (size_t)size) : NULL;
}

static int find_storage(void *context, tw_stored *s, const char *key, size_t n)
{
    archive *a = context;
    const tw_zip_entry *e = n < 256 ? find(a, "data/", key, n) : NULL;
    if (e == NULL)
        return tw_fail("storage %.*s is not in the file", (int)(n < 100 ? n : 100), key);
    const ptrdiff_t i = e - a->zip->entry;
    if (!a->intact[i] && !tw_zip_intact(e))
        return -1;
    a->intact[i] = true;
    *s = (tw_stored){e->data, e->size};
    return 0;
}

static int read_archive(tw_contents *c, const archive *a, const tw_zip_entry *pickle)
{
    const tw_zip_entry *order = find(a, "", "byteorder", 9);
    if (order != NULL && !(order->size == 6 && memcmp(order->data, "little", 6) == 0))
        return tw_fail("its numbers are big-endian");
    if (pickle->size > PICKLE_LIMIT)
        return tw_fail("a pickle of %zu bytes: too large for a state dict", pickle->size);
    if (!tw_zip_intact(pickle))
        return -1;
    size_t used;
    tw_pickle *p = tw_pickle_read(pickle->data, pickle->size, &used);
    size_t size = 0;
    for (int i = 0; i < a->zip->n; i++)
        size += a->zip->entry[i].size;
    const int rc = p != NULL ? tw_state_dict_read(c, tw_pickle_value(p), find_storage, (void *)a, tw_state_dict_copies(size)) : -1;
    tw_pickle_free(p);
    return rc;
}

int tw_pth_read(tw_contents *c, const tw_zip *z)
{
    static const char name[] = "data.pkl";
    for (int i = 0; i < z->n; i++) {
        const tw_zip_entry *e = &z->entry[i];
        const size_t prefix = e->name_size - strlen(name);
        if (!ends(e, name) || (prefix > 0 && e->name[prefix - 1] != '/') || prefix > 200)
            continue;
        const archive a = {z, e->name, prefix, tw_calloc((size_t)z->n, sizeof(bool))};
        const int rc = a.intact != NULL ? read_archive(c, &a, e) : -1;
        free(a.intact);
        return rc;
    }
    return tw_fail("a zip without data.pkl: torch.save did not write it");
}

/* The legacy format is a sequence of pickles: the magic number, the protocol, the writer's byte order and type sizes, the object, and the list of
 * storages' keys; then each storage: its number of elements (8 bytes) and its data. */
enum { PROTOCOL = 1001 };

/* Length of the magic number's pickle, which contains a frame from pickle protocol 4 on; 0: the file does not begin with it. */
static size_t magic_size(const tw_map *file)
{
    static const unsigned char magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    const unsigned char *d = file->data;
    if (file->size < 32 || d[0] != 0x80 || d[1] < 2 || d[1] > 5)
        return 0;
    const size_t at = d[2] == 0x95 ? 11 : 2;
    return memcmp(d + at, magic, sizeof magic) == 0 ? at + sizeof magic : 0;
}

bool tw_pth_is_legacy(const tw_map *file)
{
    return magic_size(file) > 0;
}

typedef struct {
    const char *key;
    size_t n;
    tw_dtype dtype;
    tw_stored at;
    bool placed;
} storage;

static int by_key(const void *a, const void *b)
{
    const storage *x = a, *y = b;
    const int order = memcmp(x->key, y->key, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

typedef struct {
    storage *storage;
    size_t n;
} storages;

static storage *lookup(const storages *s, const char *key, size_t n)
{
    const storage wanted = {.key = key, .n = n};
    return bsearch(&wanted, s->storage, s->n, sizeof *s->storage, by_key);
}

static int find_legacy(void *context, tw_stored *to, const char *key, size_t n)
{
    const storage *s = lookup(context, key, n);
    if (s == NULL || !s->placed)
        return tw_fail("storage %.*s is not in the file", (int)(n < 100 ? n : 100), key);
    *to = s->at;
    return 0;
}

/* Collects the storages that the pickle refers to, each once. */
static int collect(storages *s, const tw_pickle *p)
{
    size_t cap = 0;
    const tw_py *v;
    for (size_t i = 0; (v = tw_pickle_storage(p, i)) != NULL; i++) {
        if (tw_grow(&s->storage, &cap, s->n + 1, sizeof *s->storage) != 0)
            return -1;
        storage *to = &s->storage[s->n++];
        *to = (storage){.key = v->item[2]->s, .n = v->item[2]->n, .dtype = tw_pickle_storage_dtype(v)};
    }
    if (s->n > 0)
        qsort(s->storage, s->n, sizeof *s->storage, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (kept == 0 || by_key(&s->storage[kept - 1], &s->storage[i]) != 0)
            s->storage[kept++] = s->storage[i];
    s->n = kept;
    return 0;
}

/* Finds the data of each key in the list, from byte `at` on. */
static int place(storages *s, const tw_py *keys, const tw_map *file, size_t at)
{
    for (size_t i = 0; keys->kind == TW_PY_LIST && i < keys->n; i++) {
        const tw_py *key = keys->item[i];
        storage *to = key->kind == TW_PY_STR ? lookup(s, key->s, key->n) : NULL;
        uint64_t n;
        if (to == NULL || to->placed)
            return tw_fail("its list of storages does not match its tensors");
        if (file->size - at < 8)
            return tw_fail("truncated");
        memcpy(&n, file->data + at, 8);
        at += 8;
        const size_t size = tw_dtype_size(to->dtype);
        if (n > (file->size - at) / size)
            return tw_fail("truncated: storage %.*s has %llu elements", (int)(to->n < 100 ? to->n : 100), to->key, (unsigned long long)n);
        to->at = (tw_stored){file->data + at, n * size};
        to->placed = true;
        at += n * size;
    }
    return 0;
}

/* Reads the file's pickle at *at and moves *at past it. */
static tw_pickle *next_pickle(const tw_map *file, size_t *at)
{
    size_t used, left = file->size - *at;
    tw_pickle *p = tw_pickle_read(file->data + *at, left < PICKLE_LIMIT ? left : PICKLE_LIMIT, &used);
    if (p != NULL)
        *at += used;
    return p;
}

static int read_objects(tw_contents *c, storages *s, const tw_map *file, tw_pickle *part[4], size_t at)
{
    for (int i = 0; i < 4; i++) { /* protocol, system, object, keys */
        part[i] = next_pickle(file, &at);
        if (part[i] == NULL)
            return -1;
    }
    const tw_py *protocol = tw_pickle_value(part[0]);
    if (protocol->kind != TW_PY_INT || protocol->i != PROTOCOL)
        return tw_fail("not of PyTorch's protocol %d", PROTOCOL);
    if (collect(s, part[2]) != 0 || place(s, tw_pickle_value(part[3]), file, at) != 0)
        return -1;
    return tw_state_dict_read(c, tw_pickle_value(part[2]), find_legacy, s, tw_state_dict_copies(file->size));
}

int tw_pth_read_legacy(tw_contents *c, const tw_map *file)
{
    tw_pickle *part[4] = {NULL};
    storages s = {.n = 0};
    const int rc = read_objects(c, &s, file, part, magic_size(file));
    for (int i = 0; i < 4; i++)
        tw_pickle_free(part[i]);
    free(s.storage);
    return rc;
}
