#include "image/policy.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/opts.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The words of a policy file: the values that follow (i whole number, d number, f filter; those after ? may be left out) and
 * where each goes. */
static const struct {
    const char *word, *values;
    size_t at[5]; /* in tw_view_kind */
} words[] = {
#define AT(field) offsetof(tw_view_kind, field)
    {"size", "i", {AT(size)}},
    {"resize", "i", {AT(resize)}},
    {"interpolation", "f", {AT(filter)}},
    {"scale", "dd", {AT(scale[0]), AT(scale[1])}},
    {"late-scale", "dd", {AT(late_scale[0]), AT(late_scale[1])}},
    {"ratio", "dd", {AT(ratio[0]), AT(ratio[1])}},
    {"flip", "d", {AT(flip_p)}},
    {"rand", "iddd", {AT(layers), AT(layer_p), AT(magnitude), AT(deviation)}},
    {"jitter", "ddddd", {AT(jitter_p), AT(jitter[0]), AT(jitter[1]), AT(jitter[2]), AT(jitter[3])}},
    {"grey", "d", {AT(grey_p)}},
    {"blur", "d?dd", {AT(blur_p), AT(sigma[0]), AT(sigma[1])}},
    {"solarize", "d", {AT(solarize_p)}},
    {"erase", "d", {AT(erase_p)}},
#undef AT
};

typedef struct {
    tw_policy *policy;
    size_t cap;
    tw_view_kind kind; /* being read */
    int copies;        /* of it; 0: none has begun */
    bool late_given;
} reading;

/* Adds the kind that has been read. */
static int end_kind(reading *r)
{
    tw_policy *p = r->policy;
    if (r->copies == 0)
        return 0;
    if (!r->late_given)
        memcpy(r->kind.late_scale, r->kind.scale, sizeof r->kind.scale);
    if (tw_view_kind_check(&r->kind) != 0)
        return -1;
    if (p->n + r->copies > TW_MAX_VIEWS)
        return tw_fail("more than %d views", TW_MAX_VIEWS);
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
    double copies = 1;
    if (end_kind(r) != 0)
        return -1;
    if (n > 1 || (n == 1 && tw_parse_double(&copies, item[0], 1, TW_MAX_VIEWS, "view") != 0))
        return n > 1 ? tw_fail("view: wants at most how many") : -1;
    r->kind = tw_plain_view;
    r->copies = (int)copies;
    r->late_given = false;
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
    if (tw_parse_double(&v, text, -1e6, 1e6, word) != 0)
        return -1;
    if (type == 'd')
        *(double *)to = v;
    else if (v == floor(v))
        *(int *)to = (int)v;
    else
        return tw_fail("%s: '%s' is not a whole number", word, text);
    return 0;
}

static int set_word(reading *r, const char *word, char **item, size_t n)
{
    size_t i = 0;
    while (i < sizeof words / sizeof *words && strcmp(words[i].word, word) != 0)
        i++;
    if (i == sizeof words / sizeof *words)
        return tw_fail("'%s' is no word of a policy", word);
    if (r->copies == 0)
        return tw_fail("%s: before the first `view'", word);
    const char *values = words[i].values;
    const size_t least = strcspn(values, "?"), most = strlen(values) - (values[least] == '?');
    if (n != least && n != most)
        return tw_fail("%s: %zu values; it wants %zu", word, n, most);
    for (size_t k = 0; k < n; k++, values++) {
        values += *values == '?';
        if (set_value((char *)&r->kind + words[i].at[k], *values, item[k], word) != 0)
            return -1;
    }
    r->late_given |= strcmp(word, "late-scale") == 0;
    return 0;
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
    reading r = {.policy = p};
    size_t size;
    int number = 0, rc = 0;
    *p = (tw_policy){.late_epoch = late_epoch};
    char *text = tw_file_read(path, &size, 1 << 20), *next = text;
    if (text == NULL)
        return -1;
    for (char *line; rc == 0 && (line = strsep(&next, "\n")) != NULL; number++)
        rc = read_line(&r, line);
    if (rc == 0)
        rc = end_kind(&r);
    if (rc != 0)
        tw_fail("%s: line %d: %s", path, number, tw_error());
    else if (p->n == 0)
        rc = tw_fail("%s: no view in it", path);
    free(text);
    if (rc != 0)
        tw_policy_fini(p);
    return rc;
}
