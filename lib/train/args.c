#include "train/args.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of name with each `other` replaced by c; NULL: out of memory. */
static char *spelt(const char *name, char other, char c)
{
    char *s = strdup(name);
    for (char *p = s; p != NULL && *p != '\0'; p++)
        *p = *p == other ? c : *p;
    return s;
}

static cJSON *value(const tw_opt *o)
{
    char text[32];
    switch (o->type) {
    case TW_OPT_FLAG:
    case TW_OPT_BOOL: return cJSON_CreateBool(*(const bool *)o->to);
    case TW_OPT_COUNT:
    case TW_OPT_INT: return cJSON_CreateNumber(*(const int *)o->to);
    case TW_OPT_I64:
    case TW_OPT_SIZE:
        snprintf(text, sizeof text, "%lld", (long long)*(const int64_t *)o->to);
        return cJSON_CreateRaw(text);
    case TW_OPT_FLOAT: return cJSON_CreateNumber(*(const double *)o->to);
    case TW_OPT_CHOICE: return cJSON_CreateString(o->names[*(const int *)o->to]);
    case TW_OPT_STRING: {
        const char *s = *(const char *const *)o->to;
        return s != NULL ? cJSON_CreateString(s) : cJSON_CreateNull();
    }
    case TW_OPT_LIST: break;
    }
    cJSON *list = cJSON_CreateArray();
    const tw_strings *s = o->to;
    for (int i = 0; i < s->n; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(s->item[i]));
    return list;
}

char *tw_args_json(const tw_opt *table, int n)
{
    cJSON *all = cJSON_CreateObject();
    for (int i = 0; i < n; i++) {
        char *name = spelt(table[i].name, '-', '_');
        cJSON_AddItemToObject(all, name, value(&table[i]));
        free(name);
    }
    char *text = tw_utf8_escape(cJSON_PrintUnformatted(all), "\\");
    cJSON_Delete(all);
    if (text == NULL)
        tw_fail("no memory for the options");
    return text;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

int tw_args_compare(tw_comm *comm, const tw_opt *table, int n)
{
    static const char *const own[] = {"input", "output", "init", "weights", "val", "threads", NULL};
    if (comm->ranks == 1)
        return 0;
    uint32_t *all = tw_calloc((size_t)comm->ranks * (size_t)n, sizeof *all), *mine = tw_calloc((size_t)n, sizeof *mine);
    int rc = all != NULL && mine != NULL ? 0 : -1;
    for (int i = 0; i < n && rc == 0; i++) {
        cJSON *v = value(&table[i]);
        char *text = cJSON_PrintUnformatted(v);
        mine[i] = text == NULL || is_among(table[i].name, own) ? 0 : tw_crc32c(0, text, strlen(text));
        free(text);
        cJSON_Delete(v);
    }
    if (rc == 0)
        rc = comm->gather(comm, all, mine, (size_t)n * sizeof *mine);
    for (int i = 0; i < n && rc == 0; i++)
        if (mine[i] != all[i])
            rc = tw_fail("--%s: differs from rank 0's", table[i].name);
    free(all);
    free(mine);
    return rc;
}

static void warn_other(const char *path, const cJSON *now, const cJSON *was)
{
    char *name = spelt(now->string, '_', '-'), *text[2] = {cJSON_PrintUnformatted(now), cJSON_PrintUnformatted(was)};
    if (name != NULL && text[0] != NULL && text[1] != NULL)
        tw_warn("--%s is %s; %s was written with %s", name, text[0], path, text[1]);
    free(name);
    free(text[0]);
    free(text[1]);
}

void tw_args_warn(const tw_checkpoint *f, const char *args)
{
    static const char *const process[] = {"output", "resume", "threads", "max_steps", "save_every", "stop_on_nan", "patience", "starve", "batch_size",
                                          "val_batch_size", "val_epoch", NULL};
    const char *text = tw_checkpoint_meta(f, "args");
    cJSON *was = text != NULL ? cJSON_Parse(text) : NULL, *now = cJSON_Parse(args);
    for (const cJSON *o = now != NULL ? now->child : NULL; o != NULL; o = o->next) {
        const cJSON *before = cJSON_GetObjectItemCaseSensitive(was, o->string);
        if (before != NULL && !is_among(o->string, process) && !cJSON_Compare(o, before, true))
            warn_other(tw_checkpoint_path(f), o, before);
    }
    cJSON_Delete(now);
    cJSON_Delete(was);
}
