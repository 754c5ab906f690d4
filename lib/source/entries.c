#include "source/entries.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

int tw_entries_add(tw_entries *e, const char *path, int32_t label)
{
    const size_t size = strlen(path) + 1;
    if (size > UINT32_MAX)
        return tw_fail("a path of %zu bytes", size);
    if (tw_grow(&e->block, &e->block_cap, e->used + size, 1) != 0 || tw_grow(&e->entry, &e->cap, e->n + 1, sizeof *e->entry) != 0)
        return -1;
    const char *slash = strrchr(path, '/');
    e->entry[e->n++] = (tw_entry){e->used, slash == NULL ? 0 : (uint32_t)(slash + 1 - path), label};
    memcpy(e->block + e->used, path, size);
    e->used += size;
    return 0;
}

int32_t tw_entries_class(tw_entries *e, const char *name)
{
    /* class after class comes from a folder: the last one is the likeliest */
    for (int i = e->names - 1; i >= 0; i--)
        if (strcmp(e->name[i], name) == 0)
            return i;
    if (tw_grow(&e->name, &e->names_cap, (size_t)e->names + 1, sizeof *e->name) != 0)
        return -1;
    e->name[e->names] = strdup(name);
    return e->name[e->names] != NULL ? e->names++ : tw_fail("out of memory");
}

const char *tw_entries_path(const tw_entries *e, size_t i)
{
    return e->block + e->entry[i].at;
}

static int by_folder_then_name(const void *a, const void *b, void *block)
{
    const tw_entry *x = a, *y = b;
    const char *p = (const char *)block + x->at, *q = (const char *)block + y->at;
    const uint32_t shorter = x->file < y->file ? x->file : y->file;
    const int folder = memcmp(p, q, shorter);
    if (folder != 0)
        return folder;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return strcmp(p + x->file, q + y->file);
}

void tw_entries_sort(tw_entries *e, size_t from)
{
    qsort_r(e->entry + from, e->n - from, sizeof *e->entry, by_folder_then_name, e->block);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(**(char **const *)a, **(char **const *)b);
}

static int by_number(const void *a, const void *b)
{
    const long long x = strtoll(**(char **const *)a, NULL, 10), y = strtoll(**(char **const *)b, NULL, 10);
    return x != y ? (x > y) - (x < y) : by_name(a, b);
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
    size_t numbers = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = &e->name[i];
        numbers += e->name[i][strspn(e->name[i], "0123456789")] == '\0' && strlen(e->name[i]) <= 9;
    }
    qsort(order, n, sizeof *order, numbers == n ? by_number : by_name);
    for (size_t i = 0; i < n; i++) {
        to[order[i] - e->name] = (int32_t)i;
        sorted[i] = *order[i];
    }
    for (size_t i = 0; i < e->n; i++)
        if (e->entry[i].label >= 0)
            e->entry[i].label = to[e->entry[i].label];
    memcpy(e->name, sorted, n * sizeof *sorted);
    free(order), free(sorted), free(to);
    return 0;
}

void tw_entries_fini(tw_entries *e)
{
    for (int i = 0; i < e->names; i++)
        free(e->name[i]);
    free(e->name);
    free(e->entry);
    free(e->block);
    *e = (tw_entries){0};
}
