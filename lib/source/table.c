#include "source/table.h"

#include "core/error.h"
#include "core/mem.h"
#include "source/rows.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tw_row *)a)->name, ((const tw_row *)b)->name);
}

void tw_table_fini(tw_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->row[i].name);
    free(t->row);
    *t = (tw_table){0};
}

static int add(tw_table *t, const tw_rows *r, const char *name, const char *label, tw_entries *classes)
{
    tw_row row = {NULL, -1};
    if (classes != NULL && label == NULL)
        return tw_fail("%s: line %lld: no label after '%s'", r->file, (long long)r->number, name);
    if (classes != NULL && (row.label = tw_entries_class(classes, label)) < 0)
        return -1;
    if (tw_grow(&t->row, &t->cap, t->n + 1, sizeof row) != 0)
        return -1;
    row.name = strdup(name);
    if (row.name == NULL)
        return tw_fail("out of memory");
    t->row[t->n++] = row;
    return 0;
}

int tw_table_read(tw_table *t, const char *file, tw_entries *classes)
{
    tw_rows r;
    const char *name, *label;
    int rc;
    *t = (tw_table){0};
    if (tw_rows_open(&r, file, tw_rows_format_of(file)) != 0)
        return -1;
    while ((rc = tw_rows_next(&r, &name, &label)) == 1)
        if (add(t, &r, name, label, classes) != 0) {
            rc = -1;
            break;
        }
    tw_rows_close(&r);
    if (t->n > 1)
        qsort(t->row, t->n, sizeof *t->row, by_name);
    for (size_t i = 1; rc == 0 && i < t->n; i++)
        if (by_name(&t->row[i - 1], &t->row[i]) == 0 && t->row[i - 1].label != t->row[i].label)
            rc = tw_fail("%s: two labels for '%s'", file, t->row[i].name);
    return rc;
}

/* The first of the names that the path has, in `there` (NULL: not wanted) all of them. */
static const tw_row *find_name(const tw_table *t, char *path, bool *there)
{
    const tw_row *first = NULL;
    for (char *name = path; name != NULL && (first == NULL || there != NULL);) {
        const tw_row key = {name, 0}, *found = bsearch(&key, t->row, t->n, sizeof *t->row, by_name);
        if (found != NULL && there != NULL)
            there[found - t->row] = true;
        first = first == NULL ? found : first;
        name = strchr(name, '/');
        name = name != NULL ? name + 1 : NULL;
    }
    return first;
}

static const tw_row *find(const tw_table *t, const char *path, bool *there)
{
    char text[4096 + 1]; /* longer paths are not opened anyway */
    const size_t n = strlen(path);
    if (t->n == 0 || n >= sizeof text)
        return NULL;
    memcpy(text, path, n + 1);
    const tw_row *found = find_name(t, text, there);
    char *dot = strrchr(text, '.'), *slash = strrchr(text, '/');
    if ((found != NULL && there == NULL) || dot == NULL || (slash != NULL && dot < slash))
        return found;
    *dot = '\0';
    const tw_row *bare = find_name(t, text, there);
    return found != NULL ? found : bare;
}

const tw_row *tw_table_find(const tw_table *t, const char *path)
{
    return find(t, path, NULL);
}

bool tw_table_mark(const tw_table *t, const char *path, bool *there)
{
    return find(t, path, there) != NULL;
}
