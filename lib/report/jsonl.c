#include "report/jsonl.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tw_jsonl {
    FILE *f;
    char *path;
    cJSON *line;
};

static bool wanted(const char *line, size_t size, int64_t keep, int64_t epoch)
{
    cJSON *object = tw_utf8_parse(line, size);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(object, "step");
    if (step == NULL)
        step = cJSON_GetObjectItemCaseSensitive(object, "after_step");
    const cJSON *end = cJSON_GetObjectItemCaseSensitive(object, "end_of_epoch");
    const bool yes = cJSON_IsObject(object) && (!cJSON_IsNumber(step) || step->valuedouble <= (double)keep) &&
                     (!cJSON_IsNumber(end) || end->valuedouble < (double)epoch);
    cJSON_Delete(object);
    return yes;
}

/* Rewrites the log without the lines to be removed (tw_jsonl_open). */
static int trim(const char *path, int64_t keep, int64_t epoch)
{
    FILE *in = keep < 0 ? NULL : fopen(path, "re");
    if (keep >= 0 && in == NULL && errno != ENOENT)
        return tw_fail_errno("%s", path);
    tw_file *out = tw_file_create(path);
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; out != NULL && in != NULL && (n = getline(&line, &cap, in)) > 0;)
        if (line[n - 1] == '\n' && wanted(line, (size_t)n - 1, keep, epoch))
            fwrite(line, 1, (size_t)n, tw_file_stream(out));
    const bool failed = in != NULL && out != NULL && feof(in) == 0; /* a read error, or out of memory */
    free(line);
    if (in != NULL)
        fclose(in);
    if (failed) {
        tw_file_abandon(out);
        return tw_fail("%s: cannot be read", path);
    }
    return out == NULL ? -1 : tw_file_commit(out);
}

tw_jsonl *tw_jsonl_open(const char *path, int64_t keep, int64_t epoch)
{
    tw_jsonl *l = tw_calloc(1, sizeof *l);
    if (l == NULL || trim(path, keep, epoch) != 0)
        goto err;
    l->path = strdup(path);
    l->f = fopen(path, "ae");
    if (l->path != NULL && l->f != NULL)
        return l;
    tw_fail_errno("%s", path);
    free(l->path);
err:
    free(l);
    return NULL;
}

void tw_jsonl_begin(tw_jsonl *l)
{
    l->line = cJSON_CreateObject();
}

void tw_jsonl_int(tw_jsonl *l, const char *name, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    cJSON_AddRawToObject(l->line, name, text);
}

void tw_jsonl_number(tw_jsonl *l, const char *name, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", v);
    cJSON_AddRawToObject(l->line, name, isfinite(v) ? text : "null");
}

void tw_jsonl_string(tw_jsonl *l, const char *name, const char *v)
{
    cJSON_AddStringToObject(l->line, name, v);
}

int tw_jsonl_end(tw_jsonl *l)
{
    char *text = tw_utf8_escape(cJSON_PrintUnformatted(l->line), "\\");
    cJSON_Delete(l->line);
    l->line = NULL;
    if (text == NULL)
        return tw_fail("%s: no memory for a line", l->path);
    const bool ok = fprintf(l->f, "%s\n", text) >= 0 && fflush(l->f) == 0;
    free(text);
    return ok ? 0 : tw_fail_errno("%s", l->path);
}

int tw_jsonl_close(tw_jsonl *l)
{
    if (l == NULL)
        return 0;
    const int rc = fclose(l->f) == 0 ? 0 : tw_fail_errno("%s", l->path);
    free(l->path);
    free(l);
    return rc;
}
