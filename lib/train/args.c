#include "train/args.h"

#include "core/error.h"

#include <cjson/cJSON.h>
#include <stdio.h>
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
    char *text = cJSON_PrintUnformatted(all);
    cJSON_Delete(all);
    if (text == NULL)
        tw_fail("no memory for the options");
    return text;
}
