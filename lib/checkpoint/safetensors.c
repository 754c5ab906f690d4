#include "checkpoint/safetensors.h"

#include "checkpoint/contents.h"
#include "checkpoint/safetensors_types.h"
#include "core/error.h"
#include "core/mem.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

struct tw_safetensors {
    tw_map map;
    cJSON *header; /* owns the names and the metadata */
    const cJSON *meta;
    tw_named_tensor *tensor;
    int n;
};

/* An integer of the header, 0 .. 2^53, else -1. */
static int64_t whole(const cJSON *v)
{
    const double d = cJSON_IsNumber(v) ? v->valuedouble : -1;
    return d >= 0 && d <= 0x1p53 && d == (double)(int64_t)d ? (int64_t)d : -1;
}

static int find_dtype(tw_dtype *out, const char *name)
{
    for (int t = 0; t < TW_DTYPES; t++)
        if (tw_safetensors_types[t] != NULL && strcmp(name, tw_safetensors_types[t]) == 0) {
            *out = (tw_dtype)t;
            return 0;
        }
    return -1;
}

static int read_shape(tw_tensor *t, const cJSON *shape)
{
    const cJSON *dim;
    t->rank = 0;
    cJSON_ArrayForEach(dim, shape)
    {
        if (t->rank == TW_MAX_RANK)
            return tw_fail("more than %d dimensions", TW_MAX_RANK);
        t->dim[t->rank] = whole(dim);
        if (t->dim[t->rank++] < 0)
            return tw_fail("a dimension that is not a whole number");
    }
    return 0;
}

/* Reads {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}; data: the bytes after the header. */
static int read_tensor(tw_named_tensor *t, const cJSON *info, const unsigned char *data, size_t size)
{
    const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL, *field;
    if (!cJSON_IsObject(info)) /* the items of a list have no names */
        return tw_fail("want dtype, shape and two data_offsets");
    cJSON_ArrayForEach(field, info)
    {
        const cJSON **to = strcmp(field->string, "dtype") == 0          ? &dtype
                           : strcmp(field->string, "shape") == 0        ? &shape
                           : strcmp(field->string, "data_offsets") == 0 ? &offsets
                                                                        : NULL;
        if (to != NULL && *to != NULL)
            return tw_fail("%s appears twice", field->string);
        if (to != NULL)
            *to = field;
    }
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets) ||
        cJSON_GetArraySize(offsets) != 2)
        return tw_fail("want dtype, shape and two data_offsets");
    if (find_dtype(&t->tensor.dtype, dtype->valuestring) != 0)
        return tw_fail("type %.32s is not supported", dtype->valuestring);
    if (read_shape(&t->tensor, shape) != 0)
        return -1;
    const int64_t begin = whole(cJSON_GetArrayItem(offsets, 0)), end = whole(cJSON_GetArrayItem(offsets, 1));
    const int64_t want = tw_tensor_bytes(&t->tensor);
    if (want < 0)
        return -1;
    if (begin < 0 || end < begin || (uint64_t)end > size)
        return tw_fail("its data_offsets are %lld to %lld, of %zu bytes in the file", (long long)begin, (long long)end, size);
    if (end - begin != want)
        return tw_fail("its shape needs %lld bytes, its data_offsets give %lld", (long long)want, (long long)(end - begin));
    t->tensor.data = data + begin;
    return 0;
}

static int64_t bytes_of(const tw_named_tensor *t)
{
    return tw_tensor_bytes(&t->tensor);
}

/* Order by offset; an empty tensor comes before one that begins at the same byte. */
static int by_place(const void *a, const void *b)
{
    const tw_named_tensor *x = *(const tw_named_tensor *const *)a, *y = *(const tw_named_tensor *const *)b;
    const unsigned char *p = x->tensor.data, *q = y->tensor.data;
    return p != q ? (p > q) - (p < q) : (bytes_of(x) > bytes_of(y)) - (bytes_of(x) < bytes_of(y));
}

/* The tensors must cover the data exactly. */
static int check_places(const tw_safetensors *s, const unsigned char *data, size_t size)
{
    const unsigned char *at = data;
    const tw_named_tensor **sorted = tw_calloc((size_t)s->n, sizeof *sorted);
    if (sorted == NULL)
        return -1;
    for (int i = 0; i < s->n; i++)
        sorted[i] = &s->tensor[i];
    qsort(sorted, (size_t)s->n, sizeof *sorted, by_place);
    int rc = 0;
    for (int i = 0; i < s->n && rc == 0; at += bytes_of(sorted[i++])) {
        const bool overlaps = (const unsigned char *)sorted[i]->tensor.data < at;
        if (sorted[i]->tensor.data != at)
            rc = tw_fail("tensor %.200s: its bytes %s", sorted[i]->name, overlaps ? "overlap those of another tensor" : "leave a gap before them");
    }
    free(sorted);
    if (rc == 0 && at != data + size)
        return tw_fail("%zu bytes belong to no tensor", (size_t)(data + size - at));
    return rc;
}

static int read_meta(tw_safetensors *s, const cJSON *meta)
{
    const cJSON *value;
    if (cJSON_IsNull(meta))
        return 0;
    if (s->meta != NULL || !cJSON_IsObject(meta))
        return tw_fail(s->meta != NULL ? "__metadata__ appears twice" : "__metadata__ is not a map");
    s->meta = meta;
    cJSON_ArrayForEach(value, meta) if (!cJSON_IsString(value))
        return tw_fail("__metadata__: %.200s is not a string", value->string);
    return 0;
}

static int read_entries(tw_safetensors *s, const unsigned char *data, size_t size)
{
    const size_t n = (size_t)cJSON_GetArraySize(s->header);
    const cJSON *entry;
    s->tensor = tw_calloc(n, sizeof *s->tensor);
    if (s->tensor == NULL)
        return -1;
    cJSON_ArrayForEach(entry, s->header)
    {
        if (strcmp(entry->string, "__metadata__") == 0) {
            if (read_meta(s, entry) != 0)
                return -1;
            continue;
        }
        tw_named_tensor *t = &s->tensor[s->n];
        t->name = entry->string;
        if (read_tensor(t, entry, data, size) != 0)
            return tw_fail("tensor %.200s: %s", t->name, tw_error());
        s->n++;
    }
    return check_places(s, data, size);
}

/* Position of a NUL in the JSON, as a byte or as \u0000, which would cut a name or value short; n: none. */
static size_t find_nul(const char *json, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (json[i] == '\0' || (json[i] == '\\' && n - i >= 6 && memcmp(json + i + 1, "u0000", 5) == 0))
            return i;
        i += json[i] == '\\'; /* skips the escaped character, which may be a backslash */
    }
    return n;
}

static int parse(tw_safetensors *s)
{
    uint64_t n = 0;
    if (s->map.size < 8)
        return tw_fail("not a safetensors file: only %zu bytes", s->map.size);
    memcpy(&n, s->map.data, sizeof n);
    if (n > TW_SAFETENSORS_HEADER_LIMIT)
        return tw_fail("not a safetensors file: its first 8 bytes give a header of %llu bytes", (unsigned long long)n);
    if (n > s->map.size - 8)
        return tw_fail("truncated: a header of %llu bytes in a file of %zu", (unsigned long long)n, s->map.size);
    const char *text = (const char *)s->map.data + 8, *end = NULL;
    if (n < 2 || text[0] != '{')
        return tw_fail("not a safetensors file: no JSON after the header's length");
    s->header = cJSON_ParseWithLengthOpts(text, (size_t)n, &end, false);
    while (s->header != NULL && end < text + n && strchr(" \t\r\n", *end) != NULL && *end != '\0')
        end++;
    if (s->header == NULL || end != text + n)
        return tw_fail("the header is not valid JSON: error at byte %zu", end != NULL ? (size_t)(end - text) + 8 : 8);
    const size_t nul = find_nul(text, (size_t)n);
    if (nul < n)
        return tw_fail("the header has a NUL character in a string, at byte %zu", nul + 8);
    return read_entries(s, s->map.data + 8 + n, s->map.size - 8 - (size_t)n);
}

tw_safetensors *tw_safetensors_open(const char *path)
{
    tw_safetensors *s = tw_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    if (tw_map_open(&s->map, path) != 0)
        goto err;
    if (parse(s) != 0) {
        tw_fail("%s: %s", path, tw_error());
        goto err;
    }
    return s;
err:
    tw_safetensors_close(s);
    return NULL;
}

int tw_safetensors_count(const tw_safetensors *s)
{
    return s->n;
}

const tw_named_tensor *tw_safetensors_at(const tw_safetensors *s, int i)
{
    return &s->tensor[i];
}

const char *tw_safetensors_meta(const tw_safetensors *s, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(s->meta, key);
    return value != NULL ? value->valuestring : NULL;
}

bool tw_safetensors_meta_at(const tw_safetensors *s, int i, const char **key, const char **value)
{
    const cJSON *item = cJSON_GetArrayItem(s->meta, i);
    if (item == NULL)
        return false;
    *key = item->string;
    *value = item->valuestring;
    return true;
}

void tw_safetensors_close(tw_safetensors *s)
{
    if (s == NULL)
        return;
    tw_map_close(&s->map);
    cJSON_Delete(s->header);
    free(s->tensor);
    free(s);
}
