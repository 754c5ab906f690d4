#include "core/opts.h"

#include "core/error.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char given[256][32]; /* the long names on the command line; written by tw_opts_parse, before any thread starts */
static int n_given;

bool tw_opts_given(const char *name)
{
    for (int i = 0; i < n_given; i++)
        if (strcmp(given[i], name) == 0)
            return true;
    return false;
}

int tw_parse_i64(int64_t *out, const char *text, int64_t min, int64_t max, const char *what)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0')
        return tw_fail("%s: '%s' is not a whole number", what, text);
    if (errno == ERANGE || v < min || v > max)
        return tw_fail("%s: %s is not between %lld and %lld", what, text, (long long)min, (long long)max);
    *out = v;
    return 0;
}

int tw_parse_double(double *out, const char *text, double min, double max, const char *what)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v))
        return tw_fail("%s: '%s' is not a number", what, text);
    if (v < min || v > max)
        return tw_fail("%s: %s is not between %g and %g", what, text, min, max);
    *out = v;
    return 0;
}

static int parse_size(int64_t *out, const char *text, const tw_opt *o)
{
    static const char *const unit[] = {"", "k", "K", "KiB", "M", "MiB", "G", "GiB"};
    static const int shift[] = {0, 10, 10, 10, 20, 20, 30, 30};
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof unit / sizeof *unit && end != text; i++) {
        if (strcmp(end, unit[i]) != 0)
            continue;
        if (errno == ERANGE || v < 0 || v > INT64_MAX >> shift[i])
            break;
        const int64_t bytes = (int64_t)v << shift[i];
        if (o->max > 0 && ((double)bytes < o->min || (double)bytes > o->max))
            break;
        *out = bytes;
        return 0;
    }
    return tw_fail("--%s: '%s' is not a size in range (a number, optionally with KiB, MiB or GiB)", o->name, text);
}

static int parse_choice(int *out, const char *text, const tw_opt *o)
{
    char all[256] = "";
    for (int i = 0; o->names[i] != NULL; i++) {
        if (strcmp(text, o->names[i]) == 0) {
            *out = i;
            return 0;
        }
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i != 0 ? ", " : "", o->names[i]);
    }
    return tw_fail("--%s: '%s' is none of %s", o->name, text, all);
}

static int append(tw_strings *list, const char *text)
{
    const char **item = realloc(list->item, ((size_t)list->n + 1) * sizeof *item);
    if (item == NULL)
        return tw_fail("out of memory");
    item[list->n++] = text;
    list->item = item;
    return 0;
}

static int parse_bool(bool *out, const char *text, const tw_opt *o)
{
    static const char *const word[] = {"0", "1", "false", "true", "no", "yes"};
    for (int i = 0; i < 6; i++)
        if (strcmp(text, word[i]) == 0) {
            *out = i % 2 == 1;
            return 0;
        }
    return tw_fail("--%s: '%s' is neither 0 nor 1", o->name, text);
}

static int set(const tw_opt *o, const char *value)
{
    char what[64];
    const bool bounded = o->min != 0 || o->max != 0;
    if (n_given < (int)(sizeof given / sizeof *given))
        snprintf(given[n_given++], sizeof *given, "%s", o->name);
    snprintf(what, sizeof what, "--%s", o->name);
    switch (o->type) {
    case TW_OPT_FLAG:
        *(bool *)o->to = true;
        return 0;
    case TW_OPT_BOOL:
        return parse_bool(o->to, value, o);
    case TW_OPT_COUNT:
        ++*(int *)o->to;
        return 0;
    case TW_OPT_INT: {
        int64_t v;
        if (tw_parse_i64(&v, value, bounded ? (int64_t)o->min : INT_MIN, bounded ? (int64_t)o->max : INT_MAX, what) != 0)
            return -1;
        *(int *)o->to = (int)v;
        return 0;
    }
    case TW_OPT_I64:
        return tw_parse_i64(o->to, value, bounded ? (int64_t)o->min : INT64_MIN, bounded ? (int64_t)o->max : INT64_MAX, what);
    case TW_OPT_SIZE:
        return parse_size(o->to, value, o);
    case TW_OPT_FLOAT:
        return tw_parse_double(o->to, value, bounded ? o->min : -HUGE_VAL, bounded ? o->max : HUGE_VAL, what);
    case TW_OPT_STRING:
        *(const char **)o->to = value;
        return 0;
    case TW_OPT_LIST:
        return append(o->to, value);
    case TW_OPT_CHOICE:
        return parse_choice(o->to, value, o);
    }
    return tw_fail("--%s: unknown type of option", o->name);
}

static bool takes_value(const tw_opt *o)
{
    return o->type != TW_OPT_FLAG && o->type != TW_OPT_COUNT;
}

/* Compares the typed name (length n) with the table's; a typed '_' equals '-'. */
static bool same_name(const char *typed, size_t n, const char *name)
{
    if (strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((typed[i] == '_' ? '-' : typed[i]) != name[i])
            return false;
    return true;
}

typedef struct {
    const tw_opt *table[2];
    int n[2];
} tables;

static const tw_opt *find(const tables *t, const char *name, size_t n, char letter)
{
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < t->n[k]; i++) {
            const tw_opt *o = &t->table[k][i];
            if (letter != 0 ? o->letter == letter : same_name(name, n, o->name))
                return o;
        }
    return NULL;
}

static int parse_long(const tables *t, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *eq = strchr(name, '=');
    const size_t n = eq != NULL ? (size_t)(eq - name) : strlen(name);
    const tw_opt *o = find(t, name, n, 0);
    if (o == NULL)
        return tw_fail("unknown option --%.*s", (int)n, name);
    if (!takes_value(o))
        return eq != NULL ? tw_fail("--%s takes no value", o->name) : set(o, NULL);
    if (eq != NULL)
        return set(o, eq + 1);
    if (*i + 1 >= argc)
        return tw_fail("--%s wants a value", o->name);
    return set(o, argv[++*i]);
}

static int parse_short(const tables *t, int argc, char **argv, int *i)
{
    for (const char *c = argv[*i] + 1; *c != '\0'; c++) {
        const tw_opt *o = find(t, NULL, 0, *c);
        if (o == NULL)
            return tw_fail("unknown option -%c", *c);
        if (!takes_value(o)) {
            if (set(o, NULL) != 0)
                return -1;
            continue;
        }
        if (c[1] != '\0')
            return set(o, c + 1);
        if (*i + 1 >= argc)
            return tw_fail("-%c wants a value", *c);
        return set(o, argv[++*i]);
    }
    return 0;
}

int tw_opts_parse(int argc, char **argv, const tw_opt *table, int n, tw_common *common, tw_strings *operands)
{
    const tw_opt shared[] = {
        {'h', "help", TW_OPT_FLAG, &common->help, 0, 0, NULL},
        {'V', "version", TW_OPT_FLAG, &common->version, 0, 0, NULL},
        {'q', "quiet", TW_OPT_FLAG, &common->quiet, 0, 0, NULL},
        {'v', "verbose", TW_OPT_COUNT, &common->verbose, 0, 0, NULL},
        {0, "progress", TW_OPT_FLAG, &common->progress, 0, 0, NULL},
        {0, "no-history", TW_OPT_FLAG, &common->no_history, 0, 0, NULL},
    };
    const tables t = {{table, shared}, {n, sizeof shared / sizeof *shared}};
    bool only_operands = false;
    n_given = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        int rc;
        if (only_operands || a[0] != '-' || a[1] == '\0')
            rc = operands != NULL ? append(operands, a) : tw_fail("unexpected operand '%s'", a);
        else if (strcmp(a, "--") == 0)
            rc = 0, only_operands = true;
        else
            rc = a[1] == '-' ? parse_long(&t, argc, argv, &i) : parse_short(&t, argc, argv, &i);
        if (rc != 0)
            return -1;
    }
    return 0;
}
