#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "eval/assignment.h"
#include "eval/clusters.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_CLASSES = 1 << 24 };

static int match_init(tw_match *m, int K, int C)
{
    *m = (tw_match){.K = K, .C = C, .to = tw_calloc((size_t)K, sizeof *m->to), .classes = tw_calloc((size_t)C, sizeof *m->classes)};
    return m->to != NULL && m->classes != NULL ? 0 : -1;
}

void tw_match_fini(tw_match *m)
{
    for (int i = 0; i < m->named; i++)
        free(m->classes[i]);
    free(m->classes);
    free(m->to);
    *m = (tw_match){0};
}

static int add_name(tw_match *m, const char *name)
{
    char *copy = tw_calloc(strlen(name) + 1, 1);
    if (copy == NULL)
        return -1;
    m->classes[m->named++] = strcpy(copy, name);
    return 0;
}

int tw_match_find(tw_match *m, const tw_clusters *c)
{
    const tw_roster *who = &c->who;
    int32_t *own = NULL;
    if (match_init(m, c->K, who->n_classes) != 0)
        goto err;
    for (int i = 0; i < who->named; i++)
        if (add_name(m, who->classes[i]) != 0)
            goto err;
    if ((own = tw_calloc((size_t)who->n, sizeof *own)) == NULL)
        goto err;
    for (int64_t i = 0; i < who->n; i++)
        own[i] = c->top[i * TW_TOP];
    if (tw_match_classes(m->to, own, who->label, who->n, m->K, m->C) != 0)
        goto err;
    free(own);
    return 0;
err:
    free(own);
    tw_match_fini(m);
    return -1;
}

static cJSON *to_json(const tw_match *m)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
    cJSON *names = m->named > 0 ? cJSON_CreateStringArray((const char *const *)m->classes, m->named) : cJSON_CreateNull();
    cJSON_AddNumberToObject(o, "clusters", m->K);
    cJSON_AddItemToObject(o, "classes", names);
    cJSON_AddNumberToObject(o, "n_classes", m->C);
    for (int k = 0; k < m->K; k++)
        cJSON_AddItemToArray(list, m->to[k] >= 0 ? cJSON_CreateNumber(m->to[k]) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "match", list);
    return o;
}

int tw_match_write(const tw_match *m, const char *path)
{
    cJSON *o = to_json(m);
    char *text = tw_utf8_escape(cJSON_PrintUnformatted(o), "\\");
    cJSON_Delete(o);
    if (text == NULL)
        return tw_fail("%s: out of memory", path);
    tw_file *f = tw_file_create(path);
    if (f != NULL)
        fprintf(tw_file_stream(f), "%s\n", text);
    free(text);
    return f != NULL ? tw_file_commit(f) : -1;
}

/* Reads an integer of low..high into *v; false: it is not one. */
static bool whole(int *v, const cJSON *o, int low, int high)
{
    if (!cJSON_IsNumber(o) || !(o->valuedouble >= low && o->valuedouble <= high) || o->valuedouble != floor(o->valuedouble))
        return false;
    *v = (int)o->valuedouble;
    return true;
}

static int read_names(tw_match *m, const char *path, const cJSON *names)
{
    const cJSON *name;
    if (cJSON_IsNull(names))
        return 0;
    if (!cJSON_IsArray(names) || cJSON_GetArraySize(names) != m->C)
        return tw_fail("%s: classes: want null or a list of %d names", path, m->C);
    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name))
            return tw_fail("%s: classes: a name that is not a string", path);
        if (add_name(m, name->valuestring) != 0)
            return -1;
    }
    return 0;
}

static int from_json(tw_match *m, const char *path, const cJSON *o, tw_clusters *c, int64_t *lost)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "match"), *to;
    int K, C, k = 0;
    if (!whole(&K, cJSON_GetObjectItemCaseSensitive(o, "clusters"), 1, 1 << 30) ||
        !whole(&C, cJSON_GetObjectItemCaseSensitive(o, "n_classes"), 1, MOST_CLASSES) || !cJSON_IsArray(list))
        return tw_fail("%s: not a match of clusters and classes", path);
    if (K != c->K || cJSON_GetArraySize(list) != c->K)
        return tw_fail("%s: a match of %d clusters, where %s has %d", path, K, c->who.name, c->K);
    if (match_init(m, K, C) != 0)
        return -1;
    cJSON_ArrayForEach(to, list)
    {
        m->to[k] = -1;
        if (!cJSON_IsNull(to) && !whole(&m->to[k], to, 0, C - 1))
            return tw_fail("%s: cluster %d: want a class below %d or null", path, k, C);
        k++;
    }
    if (read_names(m, path, cJSON_GetObjectItemCaseSensitive(o, "classes")) != 0)
        return -1;
    if (m->named > 0 && c->who.named > 0)
        return tw_roster_rename(&c->who, m->classes, m->named, lost);
    if (c->who.n_classes > C)
        return tw_fail("%s: a match of %d classes, where %s has %d", path, C, c->who.name, c->who.n_classes);
    return 0;
}

/* The identity match of a classifier's outputs with the class names in its metadata. NULL: the file is not a classifier, or names no classes. */
static cJSON *of_classifier(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) /* a pipe can be read only once */
        return NULL;
    tw_checkpoint *f = tw_checkpoint_open(path);
    const char *text = f != NULL ? tw_checkpoint_meta(f, "classes") : NULL;
    cJSON *names = text != NULL ? tw_utf8_parse(text, strlen(text)) : NULL, *o = NULL;
    tw_checkpoint_close(f);
    if (cJSON_IsArray(names) && (o = cJSON_CreateObject()) != NULL) {
        const int C = cJSON_GetArraySize(names);
        cJSON *list = cJSON_CreateArray();
        for (int k = 0; k < C; k++)
            cJSON_AddItemToArray(list, cJSON_CreateNumber(k));
        cJSON_AddNumberToObject(o, "clusters", C);
        cJSON_AddNumberToObject(o, "n_classes", C);
        cJSON_AddItemToObject(o, "match", list);
        cJSON_AddItemToObject(o, "classes", names);
        names = NULL;
    }
    cJSON_Delete(names);
    return o;
}

int tw_match_read(tw_match *m, const char *path, tw_clusters *c, int64_t *lost)
{
    size_t size;
    *m = (tw_match){0};
    *lost = 0;
    cJSON *o = of_classifier(path);
    if (o == NULL) {
        char *text = tw_file_read(path, &size, 0);
        if (text == NULL)
            return -1;
        o = tw_utf8_parse(text, size);
        free(text);
    }
    const int rc = o != NULL ? from_json(m, path, o, c, lost) : tw_fail("%s: neither a match in JSON nor a classifier that names its classes", path);
    cJSON_Delete(o);
    if (rc != 0)
        tw_match_fini(m);
    return rc;
}
