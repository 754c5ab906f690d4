#include "eval/roster.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 24 }; /* a label beyond this is a mistake, not a class: tables are as long as the largest label */

static char *copy_text(const char *text)
{
    char *copy = tw_calloc(strlen(text) + 1, 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

int tw_roster_init(tw_roster *r, const tw_reader *reader)
{
    const tw_header *h = tw_reader_header(reader);
    *r = (tw_roster){.name = copy_text(tw_reader_name(reader))};
    if (r->name == NULL)
        return -1;
    if (h->kind != TW_FEATURES)
        return tw_fail("%s: a stream of %s: want features (twist-embed makes them)", r->name, tw_kind_names[h->kind]);
    if (h->n_classes <= 0)
        return 0;
    r->classes = tw_calloc((size_t)h->n_classes, sizeof *r->classes);
    if (r->classes == NULL)
        return -1;
    r->n_classes = h->n_classes;
    for (; r->named < h->n_classes; r->named++)
        if ((r->classes[r->named] = copy_text(h->classes[r->named])) == NULL)
            return -1;
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
