#include "eval/roster.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 24 }; /* larger labels are taken for errors, as tables are as long as the largest label */

int tw_roster_init(tw_roster *r, const tw_reader *reader)
{
    const tw_header *h = tw_reader_header(reader);
    *r = (tw_roster){.name = strdup(tw_reader_name(reader)), .network = h->network};
    if (r->name == NULL)
        return tw_fail("out of memory");
    if (h->kind != TW_FEATURES)
        return tw_fail("%s: a stream of %s: want features (twist-embed makes them)", r->name, tw_kind_names[h->kind]);
    if (h->n_classes <= 0)
        return 0;
    r->classes = tw_calloc((size_t)h->n_classes, sizeof *r->classes);
    if (r->classes == NULL)
        return -1;
    r->n_classes = h->n_classes;
    for (; r->named < h->n_classes; r->named++)
        if ((r->classes[r->named] = strdup(h->classes[r->named])) == NULL)
            return tw_fail("out of memory");
    return 0;
}

void tw_roster_fini(tw_roster *r)
{
    for (int i = 0; i < r->named; i++)
        free(r->classes[i]);
    free(r->classes);
    free(r->name);
    free(r->label);
    free(r->text.data);
    free(r->key_end);
    *r = (tw_roster){0};
}

int tw_roster_fail(const tw_roster *r, const tw_sample *s, const char *text)
{
    const int shown = (int)(s->key_size < 200 ? s->key_size : 200);
    return tw_fail("%s: sample %lld (%.*s): %s", r->name, (long long)r->n, shown, s->key, text);
}

static int check_label(const tw_roster *r, const tw_sample *s)
{
    const int classes = r->named > 0 ? r->named : MOST_CLASSES;
    char text[80];
    if (s->label < classes)
        return 0;
    snprintf(text, sizeof text, "label %lld: there are %d classes", (long long)s->label, classes);
    return tw_roster_fail(r, s, text);
}

int tw_roster_pass(tw_roster *r, const tw_sample *s)
{
    if (check_label(r, s) != 0)
        return -1;
    r->n++;
    return 0;
}

int tw_roster_add(tw_roster *r, const tw_sample *s)
{
    const size_t n = (size_t)r->n + 1, end = r->text.size + s->key_size;
    if (check_label(r, s) != 0)
        return -1;
    if (tw_grow(&r->label, &r->label_cap, n, sizeof *r->label) != 0 ||
        tw_grow(&r->key_end, &r->key_cap, n, sizeof *r->key_end) != 0 || tw_grow(&r->text.data, &r->text.cap, end, 1) != 0)
        return -1;
    if (s->key_size > 0)
        memcpy(r->text.data + r->text.size, s->key, s->key_size);
    r->text.size = end;
    r->key_end[r->n] = end;
    r->label[r->n] = (int32_t)s->label;
    r->labelled += s->label >= 0;
    if (s->label >= r->n_classes)
        r->n_classes = (int)s->label + 1;
    r->n++;
    return 0;
}

const char *tw_roster_key(const tw_roster *r, int64_t i, size_t *size)
{
    const size_t start = i > 0 ? r->key_end[i - 1] : 0;
    *size = r->key_end[i] - start;
    return *size > 0 ? (const char *)r->text.data + start : "";
}

int tw_roster_labelled(const tw_roster *r)
{
    if (r->n == 0)
        return tw_fail("%s: no samples", r->name);
    for (int64_t i = 0; i < r->n; i++) {
        if (r->label[i] >= 0)
            continue;
        size_t size;
        const char *key = tw_roster_key(r, i, &size);
        return tw_fail("%s: sample %lld (%.*s): no label", r->name, (long long)i, (int)(size < 200 ? size : 200), key);
    }
    return 0;
}

int tw_roster_same_classes(const tw_roster *a, const tw_roster *b)
{
    bool same = a->named == b->named;
    for (int i = 0; same && i < a->named; i++)
        same = strcmp(a->classes[i], b->classes[i]) == 0;
    if (!same && a->named > 0 && b->named > 0)
        return tw_fail("%s: its classes are not those of %s", b->name, a->name);
    return 0;
}

/* A class and its number, for sorting by name. */
typedef struct {
    const char *name;
    int k;
} place;

static int by_name(const void *a, const void *b)
{
    const place *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->k - y->k;
}

/* The lowest class of that name; -1: none. */
static int class_of(const char *name, const place *sorted, int n)
{
    int low = 0, high = n;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (strcmp(sorted[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && strcmp(sorted[low].name, name) == 0 ? sorted[low].k : -1;
}

void tw_roster_compare_networks(const tw_roster *a, const tw_roster *b)
{
    if (a->network != 0 && b->network != 0 && a->network != b->network)
        tw_warn("%s and %s: their features were made by different weights, or with other options of twist-embed", a->name, b->name);
}

int tw_roster_rename(tw_roster *r, char *const *classes, int n, int64_t *lost)
{
    int *to = tw_calloc((size_t)r->named, sizeof *to);
    place *sorted = tw_calloc((size_t)n, sizeof *sorted);
    char **names = tw_calloc((size_t)n, sizeof *names);
    int rc = to != NULL && sorted != NULL && names != NULL ? 0 : -1, copied = 0;
    for (; rc == 0 && copied < n; copied += rc == 0)
        if ((names[copied] = strdup(classes[copied])) == NULL)
            rc = tw_fail("out of memory");
    if (rc != 0) {
        while (copied > 0)
            free(names[--copied]);
        free(names);
        free(sorted);
        free(to);
        return -1;
    }
    for (int k = 0; k < n; k++)
        sorted[k] = (place){classes[k], k};
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int k = 0; k < r->named; k++) /* of several classes with one name, that of the same number, else the lowest */
        to[k] = k < n && strcmp(classes[k], r->classes[k]) == 0 ? k : class_of(r->classes[k], sorted, n);
    *lost = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->label[i] < 0)
            continue;
        r->label[i] = to[r->label[i]];
        *lost += r->label[i] < 0;
    }
    r->labelled -= *lost;
    for (int k = 0; k < r->named; k++)
        free(r->classes[k]);
    free(r->classes);
    free(sorted);
    free(to);
    r->classes = names;
    r->named = r->n_classes = n;
    return 0;
}
