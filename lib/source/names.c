#include "source/names.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"
#include "source/rows.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tw_row *)a)->name, ((const tw_row *)b)->name);
}

void tw_names_fini(tw_names *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->row[i].name);
    free(t->row);
    *t = (tw_names){0};
}

static int add(tw_names *t, const char *name, const char *label, tw_entries *classes)
{
    tw_row row = {NULL, -1};
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

/* The first row of columns, held back until the other rows show whether it is a heading (tw_names_read). */
typedef struct {
    char *name, *label;     /* owned; NULL: no row is held back */
    bool numbered, shared;  /* its label is a number; another row has the same label */
    bool pictures, numbers; /* all other names have a picture's ending; all other labels are numbers */
    bool alone;             /* there are no other rows */
} first_row;

static bool is_number(const char *label)
{
    return label[strspn(label, "0123456789")] == '\0';
}

static int hold(first_row *first, const char *name, const char *label)
{
    *first = (first_row){strdup(name), strdup(label), is_number(label), false, true, true, true};
    return first->name != NULL && first->label != NULL ? 0 : tw_fail("out of memory");
}

static void compare(first_row *first, const char *name, const char *label)
{
    first->alone = false;
    first->shared = first->shared || strcmp(label, first->label) == 0;
    first->pictures = first->pictures && tw_picture_name(name);
    first->numbers = first->numbers && is_number(label);
}

static bool names_one(const char *name, const tw_entries *e)
{
    tw_row row = {(char *)name, 0};
    const tw_names one = {&row, 1, 1};
    for (size_t i = 0; i < e->n; i++)
        if (tw_names_find(&one, tw_entries_path(e, i)) != NULL)
            return true;
    return false;
}

/* Adds the held row unless it is a heading, whose label must not become a class. Except for the check that it names no picture, this depends on the
 * file alone, so that the classes are the same for any subset of the pictures. */
static int add_held(tw_names *t, const char *file, const first_row *first, tw_entries *e)
{
    if (first->name == NULL)
        return 0;
    const bool odd = !first->numbered && !first->shared && !first->alone && !tw_picture_name(first->name) && !names_one(first->name, e);
    const bool heading = odd && (first->pictures || first->numbers || tw_rows_heads_names(first->name));
    if (heading)
        tw_warn("%s: line 1: '%s' is none of the pictures: read as a heading", file, first->name);
    else if (odd && e->n > 0)
        tw_warn("%s: line 1: '%s' is none of the pictures, but '%s' is a class", file, first->name, first->label);
    return heading ? 0 : add(t, first->name, first->label, e);
}

static int read_rows(tw_names *t, tw_rows *r, first_row *first, tw_entries *classes)
{
    const char *name, *label;
    const bool columns = r->format == TW_ROWS_CSV || r->format == TW_ROWS_TSV;
    int rc;
    while ((rc = tw_rows_next(r, &name, &label)) == 1) {
        if (classes != NULL && label == NULL)
            return tw_fail("%s: line %lld: no label after '%s'", r->file, (long long)r->number, name);
        if (classes != NULL && columns && r->number == 1) {
            if (hold(first, name, label) != 0)
                return -1;
            continue;
        }
        if (first->name != NULL)
            compare(first, name, label);
        if (add(t, name, label, classes) != 0)
            return -1;
    }
    return rc == 0 ? add_held(t, r->file, first, classes) : -1;
}

int tw_names_read(tw_names *t, const char *file, tw_entries *classes)
{
    tw_rows r;
    first_row first = {0};
    *t = (tw_names){0};
    if (tw_rows_open(&r, file, tw_rows_format_of(file)) != 0)
        return -1;
    int rc = read_rows(t, &r, &first, classes);
    tw_rows_close(&r);
    free(first.name);
    free(first.label);
    if (t->n > 1)
        qsort(t->row, t->n, sizeof *t->row, by_name);
    for (size_t i = 1; rc == 0 && i < t->n; i++)
        if (by_name(&t->row[i - 1], &t->row[i]) == 0 && t->row[i - 1].label != t->row[i].label)
            rc = tw_fail("%s: two labels for '%s'", file, t->row[i].name);
    return rc;
}

/* The row of the longest part of the path that is among the names; in `there` (may be NULL), marks the rows of all parts. */
static const tw_row *find_name(const tw_names *t, char *path, bool *there)
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

static const tw_row *find(const tw_names *t, const char *path, bool *there)
{
    char text[4096 + 1]; /* longer paths cannot be opened */
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

const tw_row *tw_names_find(const tw_names *t, const char *path)
{
    return find(t, path, NULL);
}

bool tw_names_mark(const tw_names *t, const char *path, bool *there)
{
    return find(t, path, there) != NULL;
}
