#include "checkpoint/zip.h"

#include "core/error.h"
#include "core/mem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { END = 22, LOCATOR = 20, END64 = 56, CENTRAL = 46, LOCAL = 30 };

typedef struct {
    const unsigned char *file;
    size_t size;
} bytes;

static uint64_t get(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static bool inside(const bytes *b, uint64_t at, uint64_t n)
{
    return at <= b->size && n <= b->size - at;
}

/* Finds the directory: its offset and size, and the number of entries. */
static int find_directory(const bytes *b, uint64_t *at, uint64_t *bytes_of, uint64_t *n)
{
    const unsigned char *end = NULL;
    for (size_t back = END; back <= b->size && back <= END + 65535 && end == NULL; back++) {
        const unsigned char *p = b->file + b->size - back;
        if (get(p, 4) == 0x06054b50 && get(p + 20, 2) == back - END)
            end = p;
    }
    if (end == NULL)
        return tw_fail("truncated: no directory at its end");
    *n = get(end + 10, 2);
    *bytes_of = get(end + 12, 4);
    *at = get(end + 16, 4);
    if (*n != 0xffff && *bytes_of != 0xffffffff && *at != 0xffffffff)
        return 0;
    const unsigned char *locator = end - b->file >= LOCATOR ? end - LOCATOR : NULL;
    if (locator == NULL || get(locator, 4) != 0x07064b50)
        return 0; /* no ZIP64 record: the values are literal */
    const uint64_t where = get(locator + 8, 8);
    if (!inside(b, where, END64) || get(b->file + where, 4) != 0x06064b50)
        return tw_fail("its directory is broken");
    *n = get(b->file + where + 32, 8);
    *bytes_of = get(b->file + where + 40, 8);
    *at = get(b->file + where + 48, 8);
    return 0;
}

/* Replaces those numbers that are all ones, in order, by the 64-bit ones of the ZIP64 extra field. */
static int read_zip64(const unsigned char *extra, size_t n, uint64_t *number[3])
{
    while (n >= 4) {
        const size_t id = get(extra, 2), length = get(extra + 2, 2);
        if (length > n - 4)
            return -1;
        const unsigned char *p = extra + 4;
        size_t left = length;
        for (int i = 0; i < 3 && id == 1; i++) {
            if (*number[i] != 0xffffffff)
                continue;
            if (left < 8)
                return -1;
            *number[i] = get(p, 8);
            p += 8;
            left -= 8;
        }
        extra += 4 + length;
        n -= 4 + length;
    }
    return 0;
}

static int fail_entry(const tw_zip_entry *e, const char *why)
{
    return tw_fail("entry %.*s: %s", (int)(e->name_size < 200 ? e->name_size : 200), e->name, why);
}

/* Sets the entry's data, which follow its local header. */
static int locate(tw_zip_entry *e, const bytes *b, uint64_t at, uint64_t size)
{
    if (!inside(b, at, LOCAL) || get(b->file + at, 4) != 0x04034b50)
        return fail_entry(e, "its header is not where the directory says");
    const uint64_t name = get(b->file + at + 26, 2), extra = get(b->file + at + 28, 2), data = at + LOCAL + name + extra;
    if (!inside(b, data, size))
        return fail_entry(e, "its directory entry places its bytes outside the file");
    if (name != e->name_size || memcmp(b->file + at + LOCAL, e->name, name) != 0)
        return fail_entry(e, "its local header has another name");
    e->data = b->file + data;
    e->size = size;
    return 0;
}

/* Reads one entry of the directory, of which `left` bytes are left; returns its length, or 0 and tw_error() if it is broken. */
static size_t read_entry(tw_zip_entry *e, const bytes *b, const unsigned char *p, size_t left)
{
    if (left < CENTRAL || get(p, 4) != 0x02014b50)
        return tw_fail("its directory is broken"), 0;
    const size_t name = get(p + 28, 2), extra = get(p + 30, 2), all = CENTRAL + name + extra + get(p + 32, 2);
    if (all > left)
        return tw_fail("its directory is broken"), 0;
    uint64_t size = get(p + 24, 4), packed = get(p + 20, 4), at = get(p + 42, 4);
    e->name = (const char *)p + CENTRAL;
    e->name_size = name;
    e->crc = (uint32_t)get(p + 16, 4);
    if (read_zip64(p + CENTRAL + name, extra, (uint64_t *[]){&size, &packed, &at}) != 0)
        return tw_fail("its directory is broken"), 0;
    if ((get(p + 8, 2) & 1) != 0 || get(p + 10, 2) != 0 || size != packed)
        return fail_entry(e, "compressed or encrypted, want entries that are stored"), 0;
    return locate(e, b, at, size) == 0 ? all : 0;
}

static int by_name(const void *a, const void *b)
{
    const tw_zip_entry *x = *(const tw_zip_entry *const *)a, *y = *(const tw_zip_entry *const *)b;
    const int order = memcmp(x->name, y->name, x->name_size < y->name_size ? x->name_size : y->name_size);
    return order != 0 ? order : (x->name_size > y->name_size) - (x->name_size < y->name_size);
}

static int read_directory(tw_zip *z, const bytes *b)
{
    uint64_t at = 0, length = 0, n = 0;
    if (find_directory(b, &at, &length, &n) != 0)
        return -1;
    if (!inside(b, at, length) || n > length / CENTRAL || n > INT_MAX)
        return tw_fail("its directory is broken");
    z->entry = tw_calloc(n, sizeof *z->entry);
    z->by_name = tw_calloc(n, sizeof *z->by_name);
    if (z->entry == NULL || z->by_name == NULL)
        return -1;
    for (size_t used = 0; (uint64_t)z->n < n; z->n++) {
        const size_t took = read_entry(&z->entry[z->n], b, b->file + at + used, length - used);
        if (took == 0)
            return -1;
        z->by_name[z->n] = &z->entry[z->n];
        used += took;
    }
    qsort(z->by_name, n, sizeof *z->by_name, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&z->by_name[i - 1], &z->by_name[i]) == 0)
            return fail_entry(z->by_name[i], "appears twice");
    return 0;
}

int tw_zip_read(tw_zip *z, const unsigned char *file, size_t size)
{
    *z = (tw_zip){.n = 0};
    if (read_directory(z, &(bytes){file, size}) == 0)
        return 0;
    tw_zip_fini(z);
    return -1;
}

const tw_zip_entry *tw_zip_find(const tw_zip *z, const char *name, size_t size)
{
    const tw_zip_entry wanted = {.name = name, .name_size = size}, *key = &wanted;
    const tw_zip_entry **e = bsearch(&key, z->by_name, (size_t)z->n, sizeof *z->by_name, by_name);
    return e != NULL ? *e : NULL;
}

bool tw_zip_intact(const tw_zip_entry *e)
{
    if ((uint32_t)crc32_z(0, e->data, e->size) == e->crc)
        return true;
    fail_entry(e, "its checksum does not match its bytes");
    return false;
}

void tw_zip_fini(tw_zip *z)
{
    free(z->entry);
    free(z->by_name);
    *z = (tw_zip){.n = 0};
}
