#include "checkpoint/export.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/contents.h"
#include "checkpoint/pickle_write.h"
#include "checkpoint/zip.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* PyTorch's storage class of each type; NULL: newer types, which have no class. */
static const char *const storages[TW_DTYPES] = {
    [TW_U8] = "ByteStorage",       [TW_I32] = "IntStorage",   [TW_I64] = "LongStorage",        [TW_F16] = "HalfStorage",
    [TW_BF16] = "BFloat16Storage", [TW_F32] = "FloatStorage", [TW_F64] = "DoubleStorage",      [TW_BOOL] = "BoolStorage",
    [TW_I8] = "CharStorage",       [TW_I16] = "ShortStorage", [TW_C64] = "ComplexFloatStorage", [TW_C128] = "ComplexDoubleStorage",
};

static const char *const newer[TW_DTYPES] = {
    [TW_U16] = "uint16", [TW_U32] = "uint32", [TW_U64] = "uint64", [TW_F8_E4M3] = "float8_e4m3fn", [TW_F8_E5M2] = "float8_e5m2",
};

static int no_type(const tw_named_tensor *t)
{
    return tw_fail("tensor %.200s: type %s cannot be written in this format", t->name, tw_dtype_name(t->tensor.dtype));
}

static void put_empty_dict(FILE *f)
{
    tw_pickle_global(f, "collections", "OrderedDict");
    tw_pickle_op(f, TW_OP_EMPTY_TUPLE);
    tw_pickle_op(f, TW_OP_REDUCE);
}

/* Writes the call _rebuild_tensor_v2(storage `key`, offset 0, sizes, strides, requires_grad False, no hooks); for newer types _rebuild_tensor_v3,
 * with an untyped storage and the type as last argument. */
static void put_torch_tensor(FILE *f, const tw_tensor *t, int key)
{
    const bool typed = storages[t->dtype] != NULL;
    char text[16];
    int64_t stride[TW_MAX_RANK], step = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->dim[i];
    }
    snprintf(text, sizeof text, "%d", key);
    tw_pickle_global(f, "torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_str(f, "storage");
    tw_pickle_global(f, typed ? "torch" : "torch.storage", typed ? storages[t->dtype] : "UntypedStorage");
    tw_pickle_str(f, text);
    tw_pickle_str(f, "cpu");
    tw_pickle_int(f, typed ? tw_tensor_elements(t) : tw_tensor_bytes(t));
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_BINPERSID);
    tw_pickle_int(f, 0);
    tw_pickle_ints(f, t->dim, t->rank);
    tw_pickle_ints(f, stride, t->rank);
    tw_pickle_op(f, TW_OP_FALSE);
    put_empty_dict(f);
    if (!typed)
        tw_pickle_global(f, "torch", newer[t->dtype]);
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_REDUCE);
}

/* The state dict's pickle, in memory; free with free(). NULL and tw_error(). */
static char *torch_pickle(size_t *size, const tw_named_tensor *t, int n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (f == NULL)
        return tw_fail("out of memory"), NULL;
    tw_pickle_op(f, 0x80);
    tw_pickle_op(f, 2); /* weights_only=True reads protocol 2; no opcode here is newer */
    put_empty_dict(f);
    tw_pickle_op(f, TW_OP_MARK);
    for (int i = 0; i < n; i++) {
        tw_pickle_str(f, t[i].name);
        put_torch_tensor(f, &t[i].tensor, i);
    }
    tw_pickle_op(f, TW_OP_SETITEMS);
    tw_pickle_op(f, TW_OP_STOP);
    if (fclose(f) == 0 && text != NULL)
        return text;
    free(text);
    return tw_fail("out of memory"), NULL;
}

static int put_torch_entries(tw_zip_writer *w, const tw_named_tensor *t, int n)
{
    char name[32];
    size_t size;
    char *pickle = torch_pickle(&size, t, n);
    int rc = pickle != NULL ? tw_zip_add(w, "archive/data.pkl", pickle, size, "", 0) : -1;
    free(pickle);
    if (rc == 0)
        rc = tw_zip_add(w, "archive/byteorder", "little", 6, "", 0);
    for (int i = 0; rc == 0 && i < n; i++) {
        snprintf(name, sizeof name, "archive/data/%d", i);
        rc = tw_zip_add(w, name, t[i].tensor.data, (size_t)tw_tensor_bytes(&t[i].tensor), "", 0);
    }
    return rc == 0 ? tw_zip_add(w, "archive/version", "3\n", 2, "", 0) : -1;
}

/* *out: the tensor itself or, if numpy lacks its type, an f32 copy in *block, which the caller frees. 0, or -1 and tw_error(). */
static int for_numpy(tw_tensor *out, float **block, const tw_named_tensor *named)
{
    const tw_tensor *t = &named->tensor;
    const int64_t n = tw_tensor_elements(t);
    *out = *t;
    *block = NULL;
    if (t->dtype != TW_BF16)
        return tw_numpy_types[t->dtype] != NULL ? 0 : no_type(named);
    *block = tw_calloc((size_t)n, sizeof **block);
    if (*block == NULL)
        return -1;
    for (int64_t i = 0; i < n; i++)
        (*block)[i] = (float)tw_tensor_element(t, i);
    out->dtype = TW_F32;
    out->data = *block;
    return 0;
}

/* The .npy header of format 1.0, padded so that the data begin at a multiple of 64. Returns its size. */
static size_t npy_header(char head[512], const tw_tensor *t)
{
    char shape[256] = "";
    size_t at = 0;
    for (int i = 0; i < t->rank; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld%s", i > 0 ? " " : "", (long long)t->dim[i],
                               i < t->rank - 1 || t->rank == 1 ? "," : "");
    memcpy(head, "\x93NUMPY\1\0", 8);
    int n = 10 + snprintf(head + 10, 512 - 10, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                          tw_dtype_size(t->dtype) == 1 ? '|' : '<', tw_numpy_types[t->dtype], shape);
    while ((n + 1) % 64 != 0)
        head[n++] = ' ';
    head[n++] = '\n';
    head[8] = (char)((n - 10) & 255);
    head[9] = (char)((n - 10) >> 8);
    return (size_t)n;
}

static int put_numpy_entries(tw_zip_writer *w, const tw_named_tensor *t, int n)
{
    char head[512], name[1024];
    for (int i = 0; i < n; i++) {
        tw_tensor array;
        float *block;
        if (snprintf(name, sizeof name, "%s.npy", t[i].name) >= (int)sizeof name)
            return tw_fail("tensor %.200s: its name is too long", t[i].name);
        if (for_numpy(&array, &block, &t[i]) != 0)
            return -1;
        const size_t size = npy_header(head, &array);
        const int rc = tw_zip_add(w, name, head, size, array.data, (size_t)tw_tensor_bytes(&array));
        free(block);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int write_zip(const char *path, const tw_named_tensor *t, int n, int (*put)(tw_zip_writer *, const tw_named_tensor *, int))
{
    tw_file *f = tw_file_create(path);
    if (f == NULL)
        return -1;
    tw_zip_writer *w = tw_zip_writer_new(tw_file_stream(f));
    if (w == NULL || put(w, t, n) != 0) {
        tw_fail("%s: %s", path, tw_error());
        tw_zip_writer_free(w);
        tw_file_abandon(f);
        return -1;
    }
    tw_zip_writer_finish(w);
    return tw_file_commit(f);
}

int tw_pth_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta)
{
    (void)meta, (void)n_meta;
    return write_zip(path, t, n, put_torch_entries);
}

int tw_npz_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta)
{
    (void)meta, (void)n_meta;
    return write_zip(path, t, n, put_numpy_entries);
}

/* Writes numpy.dtype("f4", False, True) with the state (3, "<", None, None, None, -1, -1, 0). */
static void put_dtype(FILE *f, tw_dtype t)
{
    tw_pickle_global(f, "numpy", "dtype");
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_str(f, tw_numpy_types[t]);
    tw_pickle_op(f, TW_OP_FALSE);
    tw_pickle_op(f, TW_OP_TRUE);
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_REDUCE);
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_int(f, 3);
    tw_pickle_str(f, tw_dtype_size(t) == 1 ? "|" : "<");
    for (int i = 0; i < 3; i++)
        tw_pickle_op(f, TW_OP_NONE);
    tw_pickle_int(f, -1);
    tw_pickle_int(f, -1);
    tw_pickle_int(f, 0);
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_BUILD);
}

/* Writes _reconstruct(ndarray, (0,), b"b") with the state (1, shape, dtype, Fortran order False, the bytes). */
static void put_array(FILE *f, const tw_tensor *t)
{
    tw_pickle_global(f, "numpy.core.multiarray", "_reconstruct");
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_global(f, "numpy", "ndarray");
    tw_pickle_ints(f, (int64_t[]){0}, 1);
    tw_pickle_bytes(f, "b", 1);
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_REDUCE);
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_int(f, 1);
    tw_pickle_ints(f, t->dim, t->rank);
    put_dtype(f, t->dtype);
    tw_pickle_op(f, TW_OP_FALSE);
    tw_pickle_bytes(f, t->data, (size_t)tw_tensor_bytes(t));
    tw_pickle_op(f, TW_OP_TUPLE);
    tw_pickle_op(f, TW_OP_BUILD);
}

int tw_detectron2_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta)
{
    (void)meta, (void)n_meta;
    tw_file *file = tw_file_create(path);
    if (file == NULL)
        return -1;
    FILE *f = tw_file_stream(file);
    tw_pickle_op(f, 0x80);
    tw_pickle_op(f, 4);
    tw_pickle_op(f, TW_OP_EMPTY_DICT);
    tw_pickle_op(f, TW_OP_MARK);
    tw_pickle_str(f, "model");
    tw_pickle_op(f, TW_OP_EMPTY_DICT);
    tw_pickle_op(f, TW_OP_MARK);
    for (int i = 0; i < n; i++) {
        tw_tensor array;
        float *block;
        if (for_numpy(&array, &block, &t[i]) != 0) {
            tw_file_abandon(file);
            return tw_fail("%s: %s", path, tw_error());
        }
        tw_pickle_str(f, t[i].name);
        put_array(f, &array);
        free(block);
    }
    tw_pickle_op(f, TW_OP_SETITEMS);
    tw_pickle_str(f, "__author__");
    tw_pickle_str(f, "TWIST in C");
    tw_pickle_str(f, "matching_heuristics");
    tw_pickle_op(f, TW_OP_TRUE);
    tw_pickle_op(f, TW_OP_SETITEMS);
    tw_pickle_op(f, TW_OP_STOP);
    return tw_file_commit(file);
}
