/* Command lines: one table per program, filled into one struct. GNU long options; `_` and `-` mean the same in names;
 * --name=VALUE, --name VALUE, clustered short flags; operands may stand between options; `--` ends them. */
#ifndef TW_CORE_OPTS_H
#define TW_CORE_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    TW_OPT_FLAG,   /* bool *: no value, sets true */
    TW_OPT_BOOL,   /* bool *: value 0, 1, true, false, yes, no (--name=0|1, as in the official code) */
    TW_OPT_COUNT,  /* int *: no value, adds one (-v -v) */
    TW_OPT_INT,    /* int *: whole number within [min, max] */
    TW_OPT_I64,    /* int64_t *: the same */
    TW_OPT_SIZE,   /* int64_t *: bytes, suffixes k M G, KiB MiB GiB (powers of 1024) */
    TW_OPT_FLOAT,  /* double *: finite, within [min, max] */
    TW_OPT_STRING, /* const char **: borrowed from argv */
    TW_OPT_LIST,   /* tw_strings *: every use appends; strings borrowed from argv, free(item) */
    TW_OPT_CHOICE, /* int *: index into the NULL-terminated names */
} tw_opt_type;

typedef struct {
    const char **item;
    int n;
} tw_strings;

typedef struct {
    char letter;       /* short option or 0 */
    const char *name;  /* long name written with '-' */
    tw_opt_type type;
    void *to;          /* see tw_opt_type; unchanged if the option is absent: initialise it with the default */
    double min, max;   /* numbers only, inclusive; both 0: no bounds except the type's */
    const char *const *names; /* TW_OPT_CHOICE only */
} tw_opt;

/* The options that every program accepts: -h -V -q -v --progress --no-history. */
typedef struct {
    bool quiet, progress, help, version, no_history;
    int verbose;
} tw_common;

/* Parses argv by the program's own table (n rows) and the options of tw_common. operands receives all other arguments
 * (free(operands->item)); NULL: operands are an error. 0, or -1 and tw_error() naming the option: the caller exits 2. */
int tw_opts_parse(int argc, char **argv, const tw_opt *table, int n, tw_common *common, tw_strings *operands);

/* Whether the option with this long name was on the last parsed command line. */
bool tw_opts_given(const char *name);

/* Parse the whole string as a decimal integer or a finite number in [min, max]. 0, or -1 and tw_error(), which starts with `what`. */
int tw_parse_i64(int64_t *out, const char *text, int64_t min, int64_t max, const char *what);
int tw_parse_double(double *out, const char *text, double min, double max, const char *what);

#endif
