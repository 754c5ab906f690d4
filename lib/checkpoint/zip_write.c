#include "checkpoint/zip.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ALIGN = 64 };

typedef struct {
    char *name;
    uint64_t at, size;
    uint32_t crc;
} written;

struct tw_zip_writer {
    FILE *f;
    uint64_t at; /* bytes written */
    written *entry;
    size_t n, cap;
};

static void put(tw_zip_writer *w, const void *data, size_t size)
{
    fwrite(data, 1, size, w->f);
    w->at += size;
}

static void number(tw_zip_writer *w, uint64_t v, int n)
{
    unsigned char b[8];
    for (int i = 0; i < n; i++)
        b[i] = (unsigned char)(v >> 8 * i);
    put(w, b, (size_t)n);
}

/* A number for a 32-bit field: all ones if it does not fit and is in the ZIP64 extra field instead. */
static uint64_t narrow(uint64_t v)
{
    return v < 0xffffffff ? v : 0xffffffff;
}

tw_zip_writer *tw_zip_writer_new(FILE *f)
{
    tw_zip_writer *w = tw_calloc(1, sizeof *w);
    if (w != NULL)
        w->f = f;
    return w;
}

/* version needed, flags, method, time, date (1980-01-01), crc, both sizes */
static void common(tw_zip_writer *w, const written *e)
{
    number(w, 45, 2);
    number(w, 0x800, 2); /* the name is UTF-8 */
    number(w, 0, 2);
    number(w, 0, 2);
    number(w, 0x21, 2);
    number(w, e->crc, 4);
    number(w, narrow(e->size), 4);
    number(w, narrow(e->size), 4);
    number(w, strlen(e->name), 2);
}

/* The local header, with both sizes in 64 bits, padded so that the data are aligned (by an extra field with PyTorch's id, "FB"). */
static void local_header(tw_zip_writer *w, const written *e)
{
    const bool large = e->size >= 0xffffffff;
    const size_t wide = large ? 20 : 0, before = 30 + strlen(e->name) + wide + 4;
    const size_t fill = (ALIGN - (w->at + before) % ALIGN) % ALIGN;
    static const char zeros[ALIGN];
    number(w, 0x04034b50, 4);
    common(w, e);
    number(w, wide + 4 + fill, 2);
    put(w, e->name, strlen(e->name));
    if (large) {
        number(w, 1, 2);
        number(w, 16, 2);
        number(w, e->size, 8);
        number(w, e->size, 8);
    }
    number(w, 0x4246, 2);
    number(w, fill, 2);
    put(w, zeros, fill);
}

int tw_zip_add(tw_zip_writer *w, const char *name, const void *head, size_t head_size, const void *data, size_t size)
{
    if (strlen(name) > 60000)
        return tw_fail("entry %.200s: its name is too long", name);
    if (tw_grow(&w->entry, &w->cap, w->n + 1, sizeof *w->entry) != 0)
        return -1;
    written *e = &w->entry[w->n];
    *e = (written){.name = strdup(name), .at = w->at, .size = (uint64_t)head_size + size};
    if (e->name == NULL)
        return tw_fail("out of memory");
    w->n++;
    e->crc = (uint32_t)crc32_z(crc32_z(0, head, head_size), data, size);
    local_header(w, e);
    put(w, head, head_size);
    put(w, data, size);
    return 0;
}

static void central_header(tw_zip_writer *w, const written *e)
{
    const bool large = e->size >= 0xffffffff, far = e->at >= 0xffffffff;
    const size_t wide = (large ? 16 : 0) + (far ? 8 : 0);
    number(w, 0x02014b50, 4);
    number(w, 45, 2);
    common(w, e);
    number(w, wide != 0 ? wide + 4 : 0, 2);
    number(w, 0, 2); /* comment */
    number(w, 0, 2); /* disk */
    number(w, 0, 2);
    number(w, 0, 4);
    number(w, narrow(e->at), 4);
    put(w, e->name, strlen(e->name));
    if (wide != 0) {
        number(w, 1, 2);
        number(w, wide, 2);
    }
    if (large) {
        number(w, e->size, 8);
        number(w, e->size, 8);
    }
    if (far)
        number(w, e->at, 8);
}

static void end_of_directory(tw_zip_writer *w, uint64_t begin)
{
    const uint64_t size = w->at - begin, end = w->at;
    if (w->n >= 0xffff || begin >= 0xffffffff || size >= 0xffffffff) {
        number(w, 0x06064b50, 4);
        number(w, 44, 8);
        number(w, 45, 2);
        number(w, 45, 2);
        number(w, 0, 8); /* disks */
        number(w, w->n, 8);
        number(w, w->n, 8);
        number(w, size, 8);
        number(w, begin, 8);
        number(w, 0x07064b50, 4);
        number(w, 0, 4);
        number(w, end, 8);
        number(w, 1, 4);
    }
    number(w, 0x06054b50, 4);
    number(w, 0, 4);
    number(w, w->n < 0xffff ? w->n : 0xffff, 2);
    number(w, w->n < 0xffff ? w->n : 0xffff, 2);
    number(w, narrow(size), 4);
    number(w, narrow(begin), 4);
    number(w, 0, 2);
}

void tw_zip_writer_finish(tw_zip_writer *w)
{
    const uint64_t begin = w->at;
    for (size_t i = 0; i < w->n; i++)
        central_header(w, &w->entry[i]);
    end_of_directory(w, begin);
    tw_zip_writer_free(w);
}

void tw_zip_writer_free(tw_zip_writer *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->n; i++)
        free(w->entry[i].name);
    free(w->entry);
    free(w);
}
