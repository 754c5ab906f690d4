#include "source/entries.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool tw_picture_name(const char *name)
{
    static const char *const ending[] = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof ending / sizeof *ending; i++)
        if (strcasecmp(dot, ending[i]) == 0)
            return true;
    return false;
}

static int add(tw_entries *e, const char *path, int32_t label, const tw_span *span)
{
    const size_t size = strlen(path) + 1, before = span != NULL ? sizeof *span : 0;
    if (size > INT32_MAX)
        return tw_fail("a path of %zu bytes", size);
    if (tw_grow(&e->block, &e->block_cap, e->used + before + size, 1) != 0 || tw_grow(&e->entry, &e->cap, e->n + 1, sizeof *e->entry) != 0)
        return -1;
    const char *slash = strrchr(path, '/');
    if (span != NULL)
        memcpy(e->block + e->used, span, before);
    e->used += before;
    e->entry[e->n++] = (tw_entry){e->used, slash == NULL ? 0 : (uint32_t)(slash + 1 - path) & INT32_MAX, span != NULL, label};
    memcpy(e->block + e->used, path, size);
    e->used += size;
    return 0;
}

int tw_entries_add(tw_entries *e, const char *path, int32_t label)
{
    return add(e, path, label, NULL);
}

int tw_entries_add_member(tw_entries *e, const char *name, int32_t label, const tw_span *span)
{
    return add(e, name, label, span);
}

bool tw_entries_span(const tw_entries *e, size_t i, tw_span *span)
{
    if (e->entry[i].in_tar)
        memcpy(span, e->block + e->entry[i].at - sizeof *span, sizeof *span);
    return e->entry[i].in_tar;
}

int tw_entries_append(tw_entries *e, const tw_entries *from, int32_t label)
{
    if (from->n == 0)
        return 0;
    if (tw_grow(&e->block, &e->block_cap, e->used + from->used, 1) != 0 || tw_grow(&e->entry, &e->cap, e->n + from->n, sizeof *e->entry) != 0)
        return -1;
    memcpy(e->block + e->used, from->block, from->used);
    for (size_t i = 0; i < from->n; i++) {
        tw_entry x = from->entry[i];
        x.at += e->used;
        x.label = label;
        e->entry[e->n++] = x;
    }
    e->used += from->used;
    return 0;
}

/* The slot of a class name, or the free slot for it; the table is never full. */
static int32_t *find_slot(const tw_entries *e, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    for (size_t i = (size_t)(h ^ h >> 32) & (e->slots - 1);; i = (i + 1) & (e->slots - 1))
        if (e->slot[i] < 0 || strcmp(e->name[e->slot[i]], name) == 0)
            return &e->slot[i];
}

/* Makes the hash table hold all names, with room for one more. 0, or -1 and tw_error(). */
static int make_slots(tw_entries *e)
{
    const size_t wanted = 2 * ((size_t)e->names + 1);
    if (e->slots < wanted) {
        size_t n = 64;
        while (n < 2 * wanted)
            n *= 2;
        int32_t *slot = malloc(n * sizeof *slot);
        if (slot == NULL)
            return tw_fail("out of memory");
        free(e->slot);
        e->slot = slot;
        e->slots = n;
    } else if (e->hashed == e->names) {
        return 0;
    }
    memset(e->slot, 0xff, e->slots * sizeof *e->slot);
    for (int i = 0; i < e->names; i++)
        *find_slot(e, e->name[i]) = i;
    e->hashed = e->names;
    return 0;
}

int32_t tw_entries_class(tw_entries *e, const char *name)
{
    if (make_slots(e) != 0)
        return -1;
    int32_t *slot = find_slot(e, name);
    if (*slot >= 0)
        return *slot;
    if (tw_grow(&e->name, &e->names_cap, (size_t)e->names + 1, sizeof *e->name) != 0)
        return -1;
    if ((e->name[e->names] = strdup(name)) == NULL)
        return tw_fail("out of memory");
    *slot = e->hashed = e->names;
    e->hashed++;
    return e->names++;
}

const char *tw_entries_path(const tw_entries *e, size_t i)
{
    return e->block + e->entry[i].at;
}

/* Compares n bytes at p with m bytes at q in byte order, a prefix first. */
static int compare(const char *p, size_t n, const char *q, size_t m)
{
    const int c = memcmp(p, q, n < m ? n : m);
    return c != 0 ? c : (n > m) - (n < m);
}

/* Length of the folder part without its last slash, so that "a" < "a-b" < "a/b"; with it, "a-b/" would come before "a/". */
static size_t folder_size(const tw_entry *e)
{
    return e->file > 0 ? e->file - 1 : 0;
}

static int by_place(const void *a, const void *b, void *entries)
{
    const tw_entries *e = entries;
    const tw_entry *x = a, *y = b;
    const char *p = e->block + x->at, *q = e->block + y->at;
    if (x->label != y->label && x->label >= 0 && y->label >= 0)
        return strcmp(e->name[x->label], e->name[y->label]);
    const int folder = compare(p, folder_size(x), q, folder_size(y));
    return folder != 0 ? folder : strcmp(p + x->file, q + y->file);
}

void tw_entries_sort(tw_entries *e, size_t from)
{
    if (e->n > from + 1)
        qsort_r(e->entry + from, e->n - from, sizeof *e->entry, by_place, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(**(char **const *)a, **(char **const *)b);
}

int tw_entries_sort_classes(tw_entries *e)
{
    const size_t n = (size_t)e->names;
    char ***order = tw_calloc(n, sizeof *order), **sorted = tw_calloc(n, sizeof *sorted);
    int32_t *to = tw_calloc(n, sizeof *to);
    if (order == NULL || sorted == NULL || to == NULL) {
        free(order), free(sorted), free(to);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &e->name[i];
    if (n > 1)
        qsort(order, n, sizeof *order, by_name);
    for (size_t i = 0; i < n; i++) {
        to[order[i] - e->name] = (int32_t)i;
        sorted[i] = *order[i];
    }
    for (size_t i = 0; i < e->n; i++)
        if (e->entry[i].label >= 0)
            e->entry[i].label = to[e->entry[i].label];
    if (n > 0)
        memcpy(e->name, sorted, n * sizeof *sorted);
    e->hashed = -1;
    free(order), free(sorted), free(to);
    return 0;
}

/* The name as a number from 0 to TW_MAX_NUMBER; -1 if it is none. */
static int32_t number(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    const long v = digits > 0 && digits <= 7 && name[digits] == '\0' ? strtol(name, NULL, 10) : -1;
    return v <= TW_MAX_NUMBER ? (int32_t)v : -1;
}

int tw_entries_number_classes(tw_entries *e)
{
    int32_t most = -1;
    for (int i = 0; i < e->names; i++) {
        const int32_t v = number(e->name[i]);
        if (v < 0)
            return 0;
        most = v > most ? v : most;
    }
    for (size_t i = 0; i < e->n; i++)
        if (e->entry[i].label >= 0)
            e->entry[i].label = number(e->name[e->entry[i].label]);
    tw_entries_forget_classes(e);
    for (int32_t v = 0; v <= most; v++) {
        char name[16];
        snprintf(name, sizeof name, "%d", v);
        if (tw_entries_class(e, name) < 0)
            return -1;
    }
    return 1;
}

void tw_entries_tell_names(const tw_entries *e, const char *file)
{
    const char *odd = NULL;
    for (int i = 0; i < e->names; i++) {
        char *end;
        const long v = strtol(e->name[i], &end, 10);
        if (end == e->name[i] || *end != '\0')
            return;
        if (v < 0 || v > TW_MAX_NUMBER)
            odd = e->name[i];
    }
    if (odd != NULL)
        tw_warn("%s%sthe label %s is not a number from 0 to %d: all labels are read as class names, sorted as text", file != NULL ? file : "",
                file != NULL ? ": " : "", odd, TW_MAX_NUMBER);
}

void tw_entries_forget_classes(tw_entries *e)
{
    for (int i = 0; i < e->names; i++)
        free(e->name[i]);
    e->names = 0;
    e->hashed = -1;
}

void tw_entries_fini(tw_entries *e)
{
    tw_entries_forget_classes(e);
    free(e->name);
    free(e->slot);
    free(e->entry);
    free(e->block);
    *e = (tw_entries){0};
}
