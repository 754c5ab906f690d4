#include "report/npy.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The header has a fixed size, so that it can be written last: 10 bytes, then text that ends with a line feed. */
enum { HEADER = 256, BEFORE = 10 };

struct tw_npy {
    char *path;
    tw_file *file;
    int64_t rows, before; /* before: rows of NaN not written yet, since the first row's shape is unknown */
    tw_tensor row; /* type and shape of a row; data unused */
};

static const char *type_of(tw_dtype t)
{
    return t == TW_U8 ? "|u1" : t == TW_I64 ? "<i8" : t == TW_F32 ? "<f4" : t == TW_F16 ? "<f2" : NULL;
}

static int write_header(tw_npy *f)
{
    char head[HEADER], *text = head + BEFORE;
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)((HEADER - BEFORE) & 255);
    head[9] = (char)((HEADER - BEFORE) >> 8);
    memset(text, ' ', HEADER - BEFORE);
    int n = snprintf(text, HEADER - BEFORE, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRId64 ",", type_of(f->row.dtype), f->rows);
    for (int i = 0; i < f->row.rank; i++)
        n += snprintf(text + n, (size_t)(HEADER - BEFORE - n), " %" PRId64 ",", f->row.dim[i]);
    n += snprintf(text + n, (size_t)(HEADER - BEFORE - n), "), }");
    text[n] = ' ';
    head[HEADER - 1] = '\n';
    return fwrite(head, 1, HEADER, tw_file_stream(f->file)) == HEADER ? 0 : tw_fail_errno("%s", f->path);
}

tw_npy *tw_npy_create(const char *path, tw_dtype type)
{
    tw_npy *f = tw_calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->row.dtype = type;
    f->path = strdup(path);
    if (f->path == NULL) {
        tw_fail("out of memory");
        goto err;
    }
    f->file = tw_file_create(path);
    if (f->file == NULL)
        goto err;
    if (write_header(f) == 0)
        return f;
    tw_file_abandon(f->file);
err:
    free(f->path);
    free(f);
    return NULL;
}

/* Writes n rows of NaN with the shape of f->row. */
static int write_missing(tw_npy *f, int64_t n)
{
    const float nan32 = NAN;
    const uint16_t nan16 = 0x7e00;
    const int64_t elements = tw_tensor_elements(&f->row);
    if (f->row.dtype != TW_F32 && f->row.dtype != TW_F16)
        return tw_fail("%s: numbers of type %s have no NaN for a bad picture", f->path, tw_dtype_name(f->row.dtype));
    const size_t size = tw_dtype_size(f->row.dtype);
    for (int64_t i = 0; i < n * elements; i++)
        if (fwrite(f->row.dtype == TW_F32 ? (const void *)&nan32 : &nan16, size, 1, tw_file_stream(f->file)) != 1)
            return tw_fail_errno("%s", f->path);
    f->rows += n;
    return 0;
}

int tw_npy_missing(tw_npy *f)
{
    if (f->rows > 0)
        return write_missing(f, 1);
    f->before++;
    return 0;
}

static bool same(const tw_tensor *a, const tw_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

int tw_npy_row(tw_npy *f, const tw_tensor *part, int n, bool stacked)
{
    tw_tensor row = part[0];
    for (int i = 1; i < n; i++)
        if (!same(&part[0], &part[i]))
            return tw_fail("%s: the tensors of a row differ in shape", f->path);
    if (stacked) {
        if (row.rank == TW_MAX_RANK)
            return tw_fail("%s: tensors of rank %d cannot be stacked", f->path, row.rank);
        memmove(row.dim + 1, row.dim, (size_t)row.rank * sizeof *row.dim);
        row.dim[0] = n;
        row.rank++;
    }
    const int64_t bytes = tw_tensor_bytes(&part[0]);
    if (bytes < 0)
        return -1;
    if (type_of(row.dtype) == NULL)
        return tw_fail("%s: type %s is not written", f->path, tw_dtype_name(row.dtype));
    if (f->rows == 0) {
        f->row = row;
        if (f->before > 0 && write_missing(f, f->before) != 0)
            return -1;
    }
    if (f->row.dtype != row.dtype)
        return tw_fail("%s: the type is %s, where the first row's is %s", f->path, tw_dtype_name(row.dtype), tw_dtype_name(f->row.dtype));
    if (!same(&f->row, &row))
        return tw_fail("%s: the shape differs from the first row's", f->path);
    for (int i = 0; i < n; i++)
        if (fwrite(part[i].data, 1, (size_t)bytes, tw_file_stream(f->file)) != (size_t)bytes)
            return tw_fail_errno("%s", f->path);
    f->rows++;
    return 0;
}

int tw_npy_finish(tw_npy *f)
{
    FILE *stream = tw_file_stream(f->file);
    int rc = fseek(stream, 0, SEEK_SET) == 0 ? write_header(f) : tw_fail_errno("%s", f->path);
    if (rc == 0)
        rc = tw_file_commit(f->file);
    else
        tw_file_abandon(f->file);
    free(f->path);
    free(f);
    return rc;
}

void tw_npy_abandon(tw_npy *f)
{
    if (f == NULL)
        return;
    tw_file_abandon(f->file);
    free(f->path);
    free(f);
}
