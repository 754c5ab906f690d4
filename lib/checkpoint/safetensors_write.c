#include "checkpoint/safetensors.h"

#include "checkpoint/safetensors_types.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

const char *const tw_safetensors_types[TW_DTYPES] = {
    [TW_U8] = "U8",     [TW_I32] = "I32",   [TW_I64] = "I64", [TW_F16] = "F16", [TW_BF16] = "BF16",       [TW_F32] = "F32",
    [TW_F64] = "F64",   [TW_BOOL] = "BOOL", [TW_I8] = "I8",   [TW_I16] = "I16", [TW_U16] = "U16",         [TW_U32] = "U32",
    [TW_U64] = "U64",   [TW_C64] = "C64",   [TW_F8_E4M3] = "F8_E4M3",           [TW_F8_E5M2] = "F8_E5M2",
};

/* The order of the tensors' bytes: by element size 8, 4, 2, 1, then as given. */
static void order_bytes(const tw_named_tensor **order, const tw_named_tensor *t, int n)
{
    int k = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (int i = 0; i < n; i++)
            if (tw_dtype_size(t[i].tensor.dtype) == size)
                order[k++] = &t[i];
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tw_named_tensor *const *)a)->name, (*(const tw_named_tensor *const *)b)->name);
}

static int check(const tw_named_tensor **scratch, const tw_named_tensor *t, int n)
{
    for (int i = 0; i < n; i++) {
        scratch[i] = &t[i];
        if (strcmp(t[i].name, "__metadata__") == 0 || t[i].tensor.rank < 0 || t[i].tensor.rank > TW_MAX_RANK)
            return tw_fail("tensor %.200s cannot be written under this name or with %d dimensions", t[i].name, t[i].tensor.rank);
        if (tw_safetensors_types[t[i].tensor.dtype] == NULL)
            return tw_fail("tensor %.200s: safetensors has no type %s", t[i].name, tw_dtype_name(t[i].tensor.dtype));
        if (tw_tensor_bytes(&t[i].tensor) < 0)
            return -1;
    }
    qsort(scratch, (size_t)n, sizeof *scratch, by_name);
    for (int i = 1; i < n; i++)
        if (strcmp(scratch[i - 1]->name, scratch[i]->name) == 0)
            return tw_fail("tensor %.200s appears twice", scratch[i]->name);
    return 0;
}

static bool add_tensor(cJSON *header, const tw_named_tensor *t, int64_t begin)
{
    cJSON *info = cJSON_AddObjectToObject(header, t->name);
    if (cJSON_AddStringToObject(info, "dtype", tw_safetensors_types[t->tensor.dtype]) == NULL)
        return false;
    cJSON *shape = cJSON_AddArrayToObject(info, "shape"), *offsets = cJSON_AddArrayToObject(info, "data_offsets");
    for (int i = 0; i < t->tensor.rank; i++)
        if (!cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->tensor.dim[i])))
            return false;
    return cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + tw_tensor_bytes(&t->tensor))));
}

/* The header's JSON; free with free(). NULL: out of memory. begin[i]: offset of t[i]'s bytes. */
static char *make_header(const tw_named_tensor *t, const int64_t *begin, int n, const char *const (*meta)[2], int n_meta)
{
    cJSON *header = cJSON_CreateObject();
    cJSON *map = cJSON_AddObjectToObject(header, "__metadata__");
    bool good = map != NULL, said = false;
    for (int i = 0; i < n_meta; i++)
        said = said || strcmp(meta[i][0], "format") == 0;
    if (!said)
        good = good && cJSON_AddStringToObject(map, "format", "pt") != NULL;
    for (int i = 0; i < n_meta; i++)
        good = good && cJSON_AddStringToObject(map, meta[i][0], meta[i][1]) != NULL;
    for (int i = 0; good && i < n; i++)
        good = add_tensor(header, &t[i], begin[i]);
    char *text = good ? tw_utf8_escape(cJSON_PrintUnformatted(header), "\\\\") : NULL; /* the Python package refuses half a surrogate pair */
    cJSON_Delete(header);
    return text;
}

static int write_all(FILE *f, const char *header, const tw_named_tensor **order, int n)
{
    const size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    const uint64_t word = padded;
    if (padded > TW_SAFETENSORS_HEADER_LIMIT)
        return tw_fail("a header of %zu bytes is too long", padded);
    fwrite(&word, sizeof word, 1, f);
    fwrite(header, 1, length, f);
    fwrite("       ", 1, padded - length, f);
    for (int i = 0; i < n && !ferror(f); i++)
        fwrite(order[i]->tensor.data, 1, (size_t)tw_tensor_bytes(&order[i]->tensor), f);
    return 0; /* the commit checks the stream for errors */
}

int tw_safetensors_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta)
{
    const tw_named_tensor **order = tw_calloc((size_t)n, sizeof *order);
    int64_t *begin = tw_calloc((size_t)n, sizeof *begin), at = 0;
    char *header = NULL;
    tw_file *f = NULL;
    if (order == NULL || begin == NULL || check(order, t, n) != 0)
        goto err;
    order_bytes(order, t, n);
    for (int i = 0; i < n; i++) {
        begin[order[i] - t] = at;
        at += tw_tensor_bytes(&order[i]->tensor);
    }
    header = make_header(t, begin, n, meta, n_meta);
    if (header == NULL) {
        tw_fail("out of memory");
        goto err;
    }
    f = tw_file_create(path);
    if (f == NULL)
        goto err0;
    if (write_all(tw_file_stream(f), header, order, n) != 0)
        goto err;
    free(order);
    free(begin);
    free(header);
    return tw_file_commit(f);
err:
    tw_fail("%s: %s", path, tw_error());
err0:
    tw_file_abandon(f);
    free(order);
    free(begin);
    free(header);
    return -1;
}
