#include "source/rows.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/tsv.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"name", "file", "file_name", "filename", "path", "image", "key", "id", NULL};
static const char *const labels[] = {"label", "class", "category", "target", "cls", NULL};

tw_rows_format tw_rows_format_of(const char *file)
{
    static const struct {
        const char *ending;
        tw_rows_format format;
    } known[] = {{".csv", TW_ROWS_CSV}, {".tsv", TW_ROWS_TSV}, {".jsonl", TW_ROWS_JSONL}};
    const size_t n = strlen(file);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t m = strlen(known[i].ending);
        if (n > m && strcmp(file + n - m, known[i].ending) == 0)
            return known[i].format;
    }
    return TW_ROWS_LINES;
}

int tw_rows_open(tw_rows *r, const char *file, tw_rows_format format)
{
    *r = (tw_rows){.f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re"), .file = file, .format = format, .name = 0, .label = 1};
    return r->f != NULL ? 0 : tw_fail_errno("%s", file);
}

static int fail(const tw_rows *r, const char *what)
{
    return tw_fail("%s: line %lld: %s", r->file, (long long)r->number, what);
}

/* Removes a byte order mark (EF BB BF), which some editors write at the start. Returns the bytes left of n. */
static ssize_t drop_mark(char *line, ssize_t n)
{
    if (n < 3 || memcmp(line, "\xef\xbb\xbf", 3) != 0)
        return n;
    memmove(line, line + 3, (size_t)n - 2);
    return n - 3;
}

/* Reads one line, without its line end, into *to. Its length; -1 at the end; -2 and tw_error(). */
static ssize_t get_line(tw_rows *r, char **to, size_t *cap)
{
    const bool nuls = r->format == TW_ROWS_NULS;
    ssize_t n = getdelim(to, cap, nuls ? '\0' : '\n', r->f);
    if (n < 0)
        return !feof(r->f) ? (tw_fail_errno("%s", r->file), -2) : -1; /* not ferror(): if memory is short, neither flag is set */
    r->number++;
    if (nuls)
        return (*to)[n - 1] == '\0' ? n - 1 : n;
    while (n > 0 && ((*to)[n - 1] == '\n' || (*to)[n - 1] == '\r'))
        (*to)[--n] = '\0';
    if (r->number == 1)
        n = drop_mark(*to, n);
    return memchr(*to, '\0', (size_t)n) != NULL ? (fail(r, "a NUL byte: not a text file"), -2) : n;
}

/* Whether the text ends inside a quoted field; open: it begins inside one. Only at the start of a field does a quote open it, as in Python's csv
 * module and in spreadsheets. */
static bool is_open(const char *text, bool open)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '"' || !(open || p == text || p[-1] == ','))
            continue;
        if (open && p[1] == '"')
            p++;
        else
            open = !open;
    }
    return open;
}

/* Appends further lines to a CSV row while a quoted field contains a line end. */
static int get_quoted_lines(tw_rows *r, size_t n)
{
    for (size_t from = 0; is_open(r->line + from, from > 0);) {
        const ssize_t m = get_line(r, &r->more, &r->more_cap);
        if (m < 0)
            return m == -1 ? fail(r, "a quote that is not closed") : -1;
        if (tw_grow(&r->line, &r->cap, n + (size_t)m + 2, 1) != 0)
            return -1;
        from = n;
        r->line[n++] = '\n';
        memcpy(r->line + n, r->more, (size_t)m + 1);
        n += (size_t)m;
    }
    return 0;
}

/* Terminates and unquotes the field at p in place. Returns the start of the next one, NULL if it was the last. */
static char *end_field(char *p, char between)
{
    char *to = p;
    bool quoted = between == ',' && *p == '"';
    for (p += quoted; *p != '\0' && (quoted || *p != between); p++) {
        if (quoted && p[0] == '"' && p[1] != '"') {
            quoted = false;
        } else {
            p += quoted && p[0] == '"';
            *to++ = *p;
        }
    }
    char *next = *p != '\0' ? p + 1 : NULL;
    *to = '\0';
    return next;
}

static int find(const char *const *list, const char *word)
{
    for (int i = 0; list[i] != NULL; i++)
        if (strcasecmp(list[i], word) == 0)
            return i;
    return -1;
}

bool tw_rows_heads_names(const char *word)
{
    return find(names, word) >= 0;
}

/* The column whose heading is the earliest word of a list. */
typedef struct {
    const char *const *words;
    int rank, column; /* index of the word in the list, column number; -1: none */
} heading;

static void look(heading *h, const char *word, int column)
{
    const int rank = find(h->words, word);
    if (rank >= 0 && (h->column < 0 || rank < h->rank)) {
        h->rank = rank;
        h->column = column;
    }
}

/* Splits the row into columns, in place. true: it is a heading that names the columns. */
static bool split(tw_rows *r, const char **name, const char **label)
{
    const char between = r->format == TW_ROWS_CSV ? ',' : '\t';
    heading named = {names, -1, -1}, labelled = {labels, -1, -1};
    int i = 0;
    *name = *label = NULL;
    for (char *p = r->line, *next; p != NULL; p = next, i++) {
        next = end_field(p, between);
        if (r->format == TW_ROWS_TSV)
            tw_tsv_read(p);
        if (i == r->name)
            *name = p;
        else if (i == r->label)
            *label = *p != '\0' || r->format == TW_ROWS_LINES ? p : NULL;
        look(&named, p, i);
        look(&labelled, p, i);
    }
    if (r->number > 1 || r->format == TW_ROWS_LINES || named.column < 0 || (i > 1 && labelled.column < 0))
        return false;
    r->name = named.column;
    r->label = labelled.column;
    return true;
}

/* From here on a double may not represent the integer that is written in the file. */
static const double INEXACT = 9007199254740992; /* 2^53 */

/* The object's value of the first of these keys that it has, as text: a string or an integer. */
static int field_text(char **text, const cJSON *object, const char *const *list)
{
    const cJSON *v = NULL;
    for (int i = 0; list[i] != NULL && v == NULL; i++)
        v = cJSON_GetObjectItemCaseSensitive(object, list[i]);
    free(*text);
    *text = NULL;
    if (v == NULL)
        return 0;
    if (cJSON_IsString(v))
        *text = strdup(v->valuestring);
    else if (cJSON_IsNumber(v) && !(v->valuedouble > -INEXACT && v->valuedouble < INEXACT))
        return tw_fail("%s: a number too large to be exact: put it in quotes", v->string);
    else if (!cJSON_IsNumber(v) || v->valuedouble != (double)(int64_t)v->valuedouble)
        return tw_fail("neither a string nor a whole number");
    else if (asprintf(text, "%lld", (long long)v->valuedouble) < 0)
        *text = NULL;
    return *text != NULL ? 0 : tw_fail("out of memory");
}

static int parse_object(tw_rows *r, const char **name, const char **label)
{
    tw_utf8_unescape(r->line);
    cJSON *object = cJSON_ParseWithOpts(r->line, NULL, true);
    int rc = cJSON_IsObject(object) ? 0 : fail(r, "not a JSON object");
    if (rc == 0 && (field_text(&r->text[0], object, names) != 0 || field_text(&r->text[1], object, labels) != 0))
        rc = fail(r, tw_error());
    cJSON_Delete(object);
    *name = r->text[0];
    *label = r->text[1];
    return rc;
}

int tw_rows_next(tw_rows *r, const char **name, const char **label)
{
    ssize_t n;
    while ((n = get_line(r, &r->line, &r->cap)) >= 0) {
        if (n == 0)
            continue;
        *name = r->line;
        *label = NULL;
        if (r->format == TW_ROWS_CSV && get_quoted_lines(r, (size_t)n) != 0)
            return -1;
        if (r->format == TW_ROWS_JSONL && parse_object(r, name, label) != 0)
            return -1;
        if (r->format != TW_ROWS_JSONL && r->format != TW_ROWS_NULS && split(r, name, label))
            continue;
        if (*name == NULL || **name == '\0')
            return fail(r, "no path in it");
        return *label != NULL && **label == '\0' ? fail(r, "an empty label") : 1;
    }
    return n == -2 ? -1 : 0;
}

void tw_rows_close(tw_rows *r)
{
    free(r->line);
    free(r->more);
    free(r->text[0]);
    free(r->text[1]);
    if (r->f != NULL && r->f != stdin)
        fclose(r->f);
}
