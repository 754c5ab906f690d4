#include "image/policy.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/opts.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The words of a policy file: the values that follow (i integer, d number, f filter; those after ? are optional) and where each is stored. drawn: of
 * random views only, not allowed together with resize. */
static const struct {
    const char *word, *values;
    size_t at[5]; /* in tw_view_kind */
    bool drawn;
} words[] = {
#define AT(field) offsetof(tw_view_kind, field)
    {"size", "i", {AT(size)}, false},
    {"resize", "i", {AT(resize)}, false},
    {"interpolation", "f", {AT(filter)}, false},
    {"scale", "dd", {AT(scale[0]), AT(scale[1])}, true},
    {"late-scale", "dd", {AT(late_scale[0]), AT(late_scale[1])}, true},
    {"ratio", "dd", {AT(ratio[0]), AT(ratio[1])}, true},
    {"flip", "d", {AT(flip_p)}, true},
    {"rand", "iddd", {AT(layers), AT(layer_p), AT(magnitude), AT(deviation)}, true},
    {"jitter", "ddddd", {AT(jitter_p), AT(jitter[0]), AT(jitter[1]), AT(jitter[2]), AT(jitter[3])}, true},
    {"grey", "d", {AT(grey_p)}, true},
    {"blur", "d?dd", {AT(blur_p), AT(sigma[0]), AT(sigma[1])}, true},
    {"solarize", "d", {AT(solarize_p)}, true},
    {"erase", "d", {AT(erase_p)}, true},
#undef AT
};

enum { RESIZE = 1, LATE_SCALE = 4, N_WORDS = sizeof words / sizeof *words }; /* rows of the table, and how many */

typedef struct {
    tw_policy *policy;
    size_t cap;
    tw_view_kind kind; /* being read */
    int copies;        /* number of such views; 0: no kind has begun */
    int on[N_WORDS];   /* line number of each word of the kind; 0: not given */
    int line;          /* current line, or that of an error */
} reading;

/* Adds the kind that has been read. */
static int end_kind(reading *r)
{
    tw_policy *p = r->policy;
    if (r->copies == 0)
        return 0;
    if (r->on[LATE_SCALE] == 0)
        memcpy(r->kind.late_scale, r->kind.scale, sizeof r->kind.scale);
    if (tw_grow(&p->kind, &r->cap, (size_t)(p->n + r->copies), sizeof *p->kind) != 0)
        return -1;
    while (r->copies > 0) {
        p->kind[p->n++] = r->kind;
        r->copies--;
    }
    return 0;
}

static int begin_kind(reading *r, char **item, size_t n)
{
    int64_t copies = 1;
    if (end_kind(r) != 0)
        return -1;
    if (n > 1)
        return tw_fail("view: takes at most one value, the number of views");
    if (n == 1 && tw_parse_i64(&copies, item[0], 1, TW_MAX_VIEWS, "view") != 0)
        return -1;
    if (r->policy->n + copies > TW_MAX_VIEWS)
        return tw_fail("view: more than %d views", TW_MAX_VIEWS);
    r->kind = tw_plain_view;
    r->copies = (int)copies;
    memset(r->on, 0, sizeof r->on);
    return 0;
}

static int set_value(void *to, char type, const char *text, const char *word)
{
    double v;
    if (type == 'f') {
        const bool cubic = strcmp(text, "bicubic") == 0;
        if (!cubic && strcmp(text, "bilinear") != 0)
            return tw_fail("interpolation: '%s' is neither bilinear nor bicubic", text);
        *(tw_filter *)to = cubic ? TW_BICUBIC : TW_BILINEAR;
        return 0;
    }
    if (tw_parse_double(&v, text, -1e9, 1e9, word) != 0)
        return -1;
    if (type == 'd')
        *(double *)to = v;
    else if (v == floor(v))
        *(int *)to = (int)v;
    else
        return tw_fail("%s: '%s' is not a whole number", word, text);
    return 0;
}

/* Refuses words of random views together with resize, in either order. */
static int check_resize(reading *r)
{
    for (int i = 0; i < N_WORDS && r->kind.resize > 0; i++)
        if (words[i].drawn && r->on[i] > 0) {
            r->line = r->on[i];
            return tw_fail("%s: has no effect together with resize, on line %d", words[i].word, r->on[RESIZE]);
        }
    return 0;
}

static int set_values(reading *r, int i, char **item, size_t n)
{
    const char *word = words[i].word, *values = words[i].values;
    const size_t least = strcspn(values, "?"), most = strlen(values) - (values[least] == '?');
    if (n != least && n != most)
        return least == most ? tw_fail("%s: %zu values; it wants %zu", word, n, most)
                             : tw_fail("%s: %zu values; it wants %zu or %zu", word, n, least, most);
    for (size_t k = 0; k < n; k++, values++) {
        values += *values == '?';
        if (set_value((char *)&r->kind + words[i].at[k], *values, item[k], word) != 0)
            return -1;
    }
    return tw_view_kind_check(&r->kind) == 0 ? 0 : tw_fail("%s: %s", word, tw_error());
}

static int set_word(reading *r, const char *word, char **item, size_t n)
{
    int i = 0;
    while (i < N_WORDS && strcmp(words[i].word, word) != 0)
        i++;
    if (i == N_WORDS)
        return tw_fail("'%s' is not a word of a policy", word);
    if (r->copies == 0)
        return tw_fail("%s: before the first `view'", word);
    if (r->on[i] > 0)
        return tw_fail("%s: already given on line %d", word, r->on[i]);
    r->on[i] = r->line;
    return set_values(r, i, item, n) == 0 ? check_resize(r) : -1;
}

static int read_line(reading *r, char *line)
{
    char *item[8], *save = NULL;
    size_t n = 0;
    line[strcspn(line, "#")] = '\0';
    for (char *t = strtok_r(line, " \t\r", &save); t != NULL; t = strtok_r(NULL, " \t\r", &save)) {
        if (n == 8)
            return tw_fail("too many words");
        item[n++] = t;
    }
    if (n == 0)
        return 0;
    return strcmp(item[0], "view") == 0 ? begin_kind(r, item + 1, n - 1) : set_word(r, item[0], item + 1, n - 1);
}

int tw_policy_read(tw_policy *p, const char *path, int64_t late_epoch)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* the byte order mark, which some editors write */
    reading r = {.policy = p};
    size_t size;
    int rc = 0;
    *p = (tw_policy){.late_epoch = late_epoch};
    char *text = tw_file_read(path, &size, 1 << 20), *next = text;
    if (text == NULL)
        return -1;
    if (strlen(text) != size) {
        free(text);
        return tw_fail("%s: a zero byte in it", path);
    }
    if (strncmp(text, mark, strlen(mark)) == 0)
        next += strlen(mark);
    for (char *line; rc == 0 && (line = strsep(&next, "\n")) != NULL;) {
        r.line++;
        rc = read_line(&r, line);
    }
    if (rc == 0)
        rc = end_kind(&r);
    if (rc != 0)
        tw_fail("%s: line %d: %s", path, r.line, tw_error());
    else if (p->n == 0)
        rc = tw_fail("%s: no view in it", path);
    free(text);
    if (rc != 0)
        tw_policy_fini(p);
    return rc;
}
