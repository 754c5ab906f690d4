#include "checkpoint/compare.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tw_named_tensor *const *)a)->name, (*(const tw_named_tensor *const *)b)->name);
}

/* The selection's tensors sorted by name. Free with free(). NULL and tw_error(). */
static const tw_named_tensor **sorted(const tw_selection *s)
{
    const tw_named_tensor **list = tw_calloc((size_t)s->n, sizeof *list);
    for (int i = 0; list != NULL && i < s->n; i++)
        list[i] = &s->t[i];
    if (list != NULL)
        qsort(list, (size_t)s->n, sizeof *list, by_name);
    return list;
}

static const tw_tensor *find(const tw_named_tensor **list, int n, const char *name)
{
    const tw_named_tensor key = {.name = name}, *at = &key;
    const tw_named_tensor **found = bsearch(&at, list, (size_t)n, sizeof *list, by_name);
    return found != NULL ? &(*found)->tensor : NULL;
}

/* Prints a name with control characters as ?, so that a file cannot send escape sequences to the terminal. */
static void put_name(FILE *to, const char *name)
{
    for (; *name != '\0'; name++)
        putc((unsigned char)*name < 32 || *name == 127 ? '?' : *name, to);
    putc('\t', to);
}

static void only(FILE *to, const tw_named_tensor *t, const char *where)
{
    char text[160];
    put_name(to, t->name);
    fprintf(to, "only in %s: %s\n", where, tw_tensor_describe(text, sizeof text, &t->tensor));
}

/* Whether two complex tensors are bitwise equal; if not, prints the line. */
static bool complex_values(FILE *to, const char *name, const tw_tensor *a, const tw_tensor *b)
{
    if (a->dtype == b->dtype && memcmp(a->data, b->data, (size_t)tw_tensor_bytes(a)) == 0)
        return true;
    put_name(to, name);
    fprintf(to, "%s\n", a->dtype == b->dtype ? "complex numbers that differ" : "complex numbers of different types");
    return false;
}

/* Whether the values of two tensors are equal; if not, prints the line. */
static bool values(FILE *to, const char *name, const tw_tensor *a, const tw_tensor *b)
{
    const int64_t n = tw_tensor_elements(a);
    double most = 0, square = 0, norm = 0;
    int64_t different = 0;
    if (tw_tensor_is_complex(a) || tw_tensor_is_complex(b))
        return complex_values(to, name, a, b);
    for (int64_t i = 0; i < n; i++) {
        const double x = tw_tensor_element(a, i), y = tw_tensor_element(b, i);
        norm += x * x;
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        const double d = fabs(x - y);
        different++;
        square += d * d;
        most = d > most || isnan(d) ? d : most;
    }
    if (different == 0)
        return true;
    put_name(to, name);
    fprintf(to, "%lld of %lld differ, by %.4g at most, %.4g of the norm\n", (long long)different, (long long)n, most, sqrt(square / norm));
    return false;
}

int tw_compare(tw_comparison *c, FILE *to, const tw_selection *a, const tw_selection *b)
{
    char text[160];
    const tw_named_tensor **in_a = sorted(a), **in_b = sorted(b);
    *c = (tw_comparison){.same = 0};
    for (int i = 0; in_a != NULL && in_b != NULL && i < a->n; i++) {
        const tw_tensor *t = &a->t[i].tensor, *u = find(in_b, b->n, a->t[i].name);
        if (u == NULL) {
            c->only_a++;
            only(to, &a->t[i], "A");
        } else if (t->rank != u->rank || memcmp(t->dim, u->dim, (size_t)t->rank * sizeof *t->dim) != 0) {
            c->reshaped++;
            put_name(to, a->t[i].name);
            fprintf(to, "%s, ", tw_tensor_describe(text, sizeof text, t));
            fprintf(to, "%s\n", tw_tensor_describe(text, sizeof text, u));
        } else if (values(to, a->t[i].name, t, u)) {
            c->same++;
        } else {
            c->changed++;
        }
    }
    for (int i = 0; in_a != NULL && in_b != NULL && i < b->n; i++)
        if (find(in_a, a->n, b->t[i].name) == NULL) {
            c->only_b++;
            only(to, &b->t[i], "B");
        }
    const int rc = in_a != NULL && in_b != NULL ? 0 : -1;
    free(in_a);
    free(in_b);
    return rc;
}
