#include "train/args.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "stream/crc32c.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        char name[64];
        snprintf(name, sizeof name, "%s", table[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '-' ? '_' : *c;
        cJSON_AddItemToObject(all, name, value(&table[i]));
    }
    char *text = tw_utf8_escape(cJSON_PrintUnformatted(all), "\\");
    cJSON_Delete(all);
    if (text == NULL)
        tw_fail("no memory for the options");
    return text;
}

static bool is_own(const char *name)
{
    static const char *const own[] = {"input", "output", "init", "weights", "val", "threads"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return true;
    return false;
}

int tw_args_compare(tw_comm *comm, const tw_opt *table, int n)
{
    if (comm->ranks == 1)
        return 0;
    uint32_t *all = tw_calloc((size_t)comm->ranks * (size_t)n, sizeof *all), *mine = tw_calloc((size_t)n, sizeof *mine);
    int rc = all != NULL && mine != NULL ? 0 : -1;
    for (int i = 0; i < n && rc == 0; i++) {
        cJSON *v = value(&table[i]);
        char *text = cJSON_PrintUnformatted(v);
        mine[i] = text == NULL || is_own(table[i].name) ? 0 : tw_crc32c(0, text, strlen(text));
        free(text);
        cJSON_Delete(v);
    }
    if (rc == 0)
        rc = comm->gather(comm, all, mine, (size_t)n * sizeof *mine);
    for (int i = 0; i < n && rc == 0; i++)
        if (mine[i] != all[i])
            rc = tw_fail("--%s: is not what rank 0 has", table[i].name);
    free(all);
    free(mine);
    return rc;
}
