#include "source/source.h"

#include "core/error.h"
#include "core/mem.h"
#include "source/entries.h"
#include "source/lines.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tw_source {
    tw_entries all;
    bool labelled; /* every sample has a label */
};

static int add_operand(tw_entries *e, const char *path)
{
    struct stat st;
    const size_t n = strlen(path);
    if (strcmp(path, "-") == 0 || (n > 4 && strcmp(path + n - 4, ".tar") == 0))
        return tw_fail("%s: tar archives are not read by this version: unpack it, or give a list", path);
    if (stat(path, &st) != 0)
        return tw_fail_errno("%s", path);
    return S_ISDIR(st.st_mode) ? tw_entries_folder(e, path) : tw_entries_add(e, path, -1);
}

static int add_list(tw_entries *e, const char *file)
{
    tw_lines l;
    char *path, *label;
    const size_t from = e->n;
    if (tw_lines_open(&l, file) != 0)
        return -1;
    int rc;
    while ((rc = tw_lines_next(&l, &path, &label)) == 1) {
        const int32_t class = label != NULL ? tw_entries_class(e, label) : -1;
        if ((label != NULL && class < 0) || tw_entries_add(e, path, class) != 0) {
            rc = -1;
            break;
        }
    }
    tw_lines_close(&l);
    return rc == 0 && e->n == from ? tw_fail("%s: an empty list", file) : rc;
}

/* A sorted table of names, each with a label. */
typedef struct {
    char *name;
    int32_t label;
} row;

typedef struct {
    row *row;
    size_t n, cap;
} table;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const row *)a)->name, ((const row *)b)->name);
}

static void table_fini(table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->row[i].name);
    free(t->row);
}

/* Reads a file of names, with labels where `e` is given to hold their classes. */
static int table_read(table *t, const char *file, tw_entries *e)
{
    tw_lines l;
    char *name, *label;
    int rc;
    *t = (table){0};
    if (tw_lines_open(&l, file) != 0)
        return -1;
    while ((rc = tw_lines_next(&l, &name, &label)) == 1) {
        row r = {NULL, -1};
        if (e != NULL && label == NULL)
            rc = tw_fail("%s: line %lld: no TAB and label after '%s'", file, (long long)l.number, name);
        else if (e != NULL && (r.label = tw_entries_class(e, label)) < 0)
            rc = -1;
        else if (tw_grow(&t->row, &t->cap, t->n + 1, sizeof r) != 0 || (r.name = strdup(name)) == NULL)
            rc = tw_fail("%s: out of memory", file);
        if (rc < 0)
            break;
        t->row[t->n++] = r;
    }
    tw_lines_close(&l);
    qsort(t->row, t->n, sizeof *t->row, by_name);
    return rc;
}

/* The row whose name is the entry's path, or what follows one of its slashes: the longest such name. */
static const row *table_find(const table *t, const tw_entries *e, size_t i)
{
    const row *found = NULL;
    for (const char *name = tw_entries_path(e, i); t->n > 0 && found == NULL && name != NULL;) {
        const row key = {(char *)name, 0};
        const char *slash = strchr(name, '/');
        found = bsearch(&key, t->row, t->n, sizeof *t->row, by_name);
        name = slash != NULL ? slash + 1 : NULL;
    }
    return found;
}

static int keep_subset(tw_entries *e, const char *file)
{
    table t;
    size_t kept = 0;
    const int rc = table_read(&t, file, NULL);
    for (size_t i = 0; rc == 0 && i < e->n; i++)
        if (table_find(&t, e, i) != NULL)
            e->entry[kept++] = e->entry[i];
    e->n = kept;
    table_fini(&t);
    return rc == 0 && kept == 0 ? tw_fail("%s: none of its names is in the data", file) : rc;
}

static int set_labels(tw_entries *e, const char *file)
{
    table t;
    tw_entries_forget_classes(e);
    int rc = table_read(&t, file, e);
    for (size_t i = 0; rc == 0 && i < e->n; i++) {
        const row *r = table_find(&t, e, i);
        e->entry[i].label = r != NULL ? r->label : -1;
    }
    table_fini(&t);
    return rc;
}

static int fill(tw_source *s, const tw_source_options *o)
{
    tw_entries *e = &s->all;
    for (int i = 0; i < o->n_operands; i++)
        if (add_operand(e, o->operand[i]) != 0)
            return -1;
    const bool folders = e->names > 0;
    if (o->list != NULL && add_list(e, o->list) != 0)
        return -1;
    if (o->subset != NULL && keep_subset(e, o->subset) != 0)
        return -1;
    if (o->labels != NULL && set_labels(e, o->labels) != 0)
        return -1;
    /* numbers are labels as they stand, but names of folders are names, as torchvision has it */
    const int numbered = folders && o->labels == NULL ? 0 : tw_entries_number_classes(e);
    if (numbered < 0 || (numbered == 0 && tw_entries_sort_classes(e) != 0))
        return -1;
    s->labelled = e->n > 0;
    for (size_t i = 0; i < e->n && s->labelled; i++)
        s->labelled = e->entry[i].label >= 0;
    return 0;
}

tw_source *tw_source_open(const tw_source_options *o)
{
    tw_source *s = tw_calloc(1, sizeof *s);
    if (s != NULL && fill(s, o) == 0)
        return s;
    tw_source_close(s);
    return NULL;
}

void tw_source_close(tw_source *s)
{
    if (s != NULL)
        tw_entries_fini(&s->all);
    free(s);
}

uint64_t tw_source_count(const tw_source *s)
{
    return s->all.n;
}

const char *tw_source_path(const tw_source *s, uint64_t i)
{
    return tw_entries_path(&s->all, i);
}

int64_t tw_source_label(const tw_source *s, uint64_t i)
{
    return s->labelled ? s->all.entry[i].label : -1;
}

int tw_source_n_classes(const tw_source *s)
{
    return s->labelled ? s->all.names : -1;
}

const char **tw_source_classes(const tw_source *s)
{
    return (const char **)s->all.name;
}
