#include "checkpoint/state_dict.h"

#include "checkpoint/pickle_numpy.h"
#include "core/error.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, VISITS = 1 << 20, NAME = 1024, TEXT = 1024 };

typedef struct {
    tw_contents *to;
    tw_find_storage *find;
    void *context;
    size_t most;  /* bytes that may still be copied */
    int depth, visits;
    char name[NAME];
    size_t length; /* of the name so far */
} walker;

/* UTF-8 without NUL. */
static bool is_text(const char *s, size_t n)
{
    for (size_t i = 0, size; i < n; i += size)
        if (s[i] == '\0' || (size = tw_utf8((const unsigned char *)s + i, n - i)) == 0)
            return false;
    return true;
}

static int read_shape(tw_tensor *t, int64_t stride[TW_MAX_RANK], const tw_py *sizes, const tw_py *strides)
{
    if (sizes->n > TW_MAX_RANK || sizes->n != strides->n)
        return tw_fail("%zu dimensions", sizes->n);
    t->rank = (int)sizes->n;
    for (int i = 0; i < t->rank; i++) {
        const tw_py *size = sizes->item[i], *step = strides->item[i];
        if (size->kind != TW_PY_INT || step->kind != TW_PY_INT || size->i < 0 || step->i < 0)
            return tw_fail("a dimension that is not a whole number");
        t->dim[i] = size->i;
        stride[i] = step->i;
    }
    return 0;
}

/* The index of the highest element that the strides reach from offset on; -1: overflow. */
static int64_t last_element(const tw_tensor *t, const int64_t *stride, int64_t offset)
{
    int64_t last = offset, step;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(t->dim[i] - 1, stride[i], &step) || __builtin_add_overflow(last, step, &last))
            return -1;
    return last;
}

static bool is_contiguous(const tw_tensor *t, const int64_t *stride)
{
    int64_t want = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->dim[i] != 1 && stride[i] != want)
            return false;
        want *= t->dim[i];
    }
    return true;
}

/* Copies element by element into C order. */
static void gather(unsigned char *to, const unsigned char *from, const tw_tensor *t, const int64_t *stride, int64_t elements)
{
    const size_t size = tw_dtype_size(t->dtype);
    int64_t index[TW_MAX_RANK] = {0}, at = 0;
    for (int64_t k = 0; k < elements; k++) {
        memcpy(to + (size_t)k * size, from + (size_t)at * size, size);
        for (int i = t->rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < t->dim[i])
                break;
            at -= index[i] * stride[i];
            index[i] = 0;
        }
    }
}

/* A block for a copy; NULL and tw_error() if all copies together are too large, as a hostile file may ask for any number. */
static unsigned char *copy_block(walker *w, size_t bytes)
{
    if (bytes > w->most)
        return tw_fail("a contiguous copy of it takes %zu bytes, of %zu that are left for such copies", bytes, w->most), NULL;
    w->most -= bytes;
    return tw_contents_block(w->to, bytes);
}

/* Makes *t, whose elements have these strides, a copy in C order unless it is so already. */
static int put_in_order(walker *w, tw_tensor *t, const int64_t *stride)
{
    if (is_contiguous(t, stride))
        return 0;
    unsigned char *copy = copy_block(w, (size_t)tw_tensor_bytes(t));
    if (copy == NULL)
        return -1;
    gather(copy, t->data, t, stride, tw_tensor_elements(t));
    t->data = copy;
    return 0;
}

/* Whether the TENSOR's last argument is a nonempty dict: then it is a lazy view, whose elements PyTorch conjugates or negates when they are read. */
static bool is_lazy(const tw_py *tensor)
{
    const tw_py *last = tensor->item[tensor->n - 1];
    return tensor->n > 6 && last->kind == TW_PY_DICT && last->n > 0;
}

static int read_tensor(walker *w, tw_tensor *t, const tw_py *v)
{
    const tw_py *storage = v->item[0];
    const int64_t offset = v->item[1]->i, said = storage->item[4]->i;
    const size_t unit = tw_dtype_size(tw_pickle_storage_dtype(storage));
    int64_t stride[TW_MAX_RANK];
    tw_stored s;
    *t = (tw_tensor){.rank = 0};
    if (is_lazy(v))
        return tw_fail("a conjugate or negative view: call resolve_conj() and resolve_neg() before saving");
    if (!tw_pickle_tensor_dtype(&t->dtype, v))
        return tw_fail("an untyped storage without the tensor's type");
    if (read_shape(t, stride, v->item[2], v->item[3]) != 0)
        return -1;
    const int64_t elements = tw_tensor_elements(t);
    if (elements < 0 || tw_tensor_bytes(t) < 0 || w->find(w->context, &s, storage->item[2]->s, storage->item[2]->n) != 0)
        return -1;
    if (said < 0 || (uint64_t)said > s.size / unit || (uint64_t)said * unit != s.size)
        return tw_fail("its storage is declared to have %lld elements, but has %zu bytes", (long long)said, s.size);
    const size_t size = tw_dtype_size(t->dtype);
    const int64_t held = (int64_t)(s.size / size);
    if (elements == 0) {
        t->data = s.data;
        return 0;
    }
    const int64_t last = offset >= 0 ? last_element(t, stride, offset) : -1;
    if (last < 0 || last >= held) /* an expanded tensor may have more elements than its storage */
        return tw_fail("reaches beyond its storage of %lld elements", (long long)held);
    t->data = s.data + (size_t)offset * size;
    return put_in_order(w, t, stride);
}

static int array_data(walker *w, tw_tensor *t, const tw_py *v)
{
    const int64_t bytes = tw_tensor_bytes(t);
    if (bytes < 0 || (uint64_t)bytes > v->n || (v->kind == TW_PY_STR && (uint64_t)bytes != v->n))
        return bytes < 0 ? -1 : tw_fail("its shape needs %lld bytes, it has %zu", (long long)bytes, v->n);
    t->data = v->s;
    if (v->kind == TW_PY_STR)
        return 0;
    unsigned char *decoded = copy_block(w, (size_t)bytes);
    t->data = decoded;
    return decoded != NULL ? tw_py_latin1(decoded, (size_t)bytes, v) : -1;
}

/* The strides of an array in Fortran order, whose first index runs fastest. */
static void fortran_strides(int64_t *stride, const tw_tensor *t)
{
    int64_t step = 1;
    for (int i = 0; i < t->rank; i++) {
        stride[i] = step;
        step *= t->dim[i];
    }
}

/* Whether it is an array of a type that tensors do not have. */
static bool is_of_others(const tw_py *v)
{
    tw_dtype type;
    return v->n == 5 && v->item[2]->kind == TW_PY_DTYPE && (!tw_py_dtype(&type, v->item[2]) || v->item[4]->kind == TW_PY_OPAQUE);
}

/* Reads a numpy array from its state (version, sizes, dtype, Fortran order, bytes). */
static int read_array(walker *w, tw_tensor *t, const tw_py *v)
{
    int64_t stride[TW_MAX_RANK];
    *t = (tw_tensor){.rank = 0};
    if (v->n != 5 || v->item[1]->kind != TW_PY_LIST || v->item[1]->n > TW_MAX_RANK || v->item[2]->kind != TW_PY_DTYPE ||
        v->item[3]->kind != TW_PY_BOOL || (v->item[4]->kind != TW_PY_STR && v->item[4]->kind != TW_PY_LATIN1))
        return tw_fail("not an array as numpy pickles it");
    t->rank = (int)v->item[1]->n;
    for (int i = 0; i < t->rank; i++) {
        const tw_py *size = v->item[1]->item[i];
        if (size->kind != TW_PY_INT || size->i < 0)
            return tw_fail("a dimension that is not a whole number");
        t->dim[i] = size->i;
    }
    if (!tw_py_dtype(&t->dtype, v->item[2]) || tw_py_is_big_endian(v->item[2]))
        return tw_fail("big-endian numbers");
    if (array_data(w, t, v->item[4]) != 0)
        return -1;
    if (v->item[3]->i == 0 || tw_tensor_elements(t) == 0)
        return 0;
    fortran_strides(stride, t);
    return put_in_order(w, t, stride);
}

/* Writes a leaf in JSON syntax to text, cut to size; "?": it cannot be represented. Returns the length. */
static size_t describe(char *text, size_t size, const tw_py *v)
{
    int n = 0;
    const tw_py number = v->kind == TW_PY_SCALAR ? tw_py_number(v) : *v;
    v = &number;
    switch (v->kind) {
    case TW_PY_NONE: n = snprintf(text, size, "null"); break;
    case TW_PY_BOOL: n = snprintf(text, size, "%s", v->i != 0 ? "true" : "false"); break;
    case TW_PY_INT: n = snprintf(text, size, "%lld", (long long)v->i); break;
    case TW_PY_FLOAT:
        for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back as the same number */
            n = snprintf(text, size, "%.*g", digits, v->f);
            if (strtod(text, NULL) == v->f)
                break;
        }
        break;
    case TW_PY_STR:
        if (v->n < size && is_text(v->s, v->n))
            n = snprintf(text, size, "%.*s", (int)v->n, v->s);
        else
            n = snprintf(text, size, "(%zu bytes)", v->n);
        break;
    default: n = snprintf(text, size, "?"); break;
    }
    return n > 0 && (size_t)n < size ? (size_t)n : size - 1;
}

static int add_list(walker *w, const tw_py *v)
{
    char text[TEXT];
    size_t at = 1;
    text[0] = '[';
    for (size_t i = 0; i < v->n; i++) {
        if (at > TEXT - 300) {
            at += (size_t)snprintf(text + at, TEXT - at, ", ... %zu more", v->n - i);
            break;
        }
        at += (size_t)snprintf(text + at, TEXT - at, "%s", i > 0 ? ", " : "");
        at += describe(text + at, 200, v->item[i]);
    }
    snprintf(text + at, TEXT - at, "]");
    return tw_contents_meta(w->to, w->name, text);
}

static int walk(walker *w, const tw_py *v);

/* Walks the value under the name so far + "." + key. */
static int walk_under(walker *w, const char *key, size_t n, const tw_py *v)
{
    const size_t before = w->length;
    if (n == 0 || !is_text(key, n))
        return tw_fail("%.200s: a key that is not a string", w->name);
    if (n + 2 > NAME - before)
        return tw_fail("%.200s: a name of more than %d bytes", w->name, NAME);
    w->length += (size_t)snprintf(w->name + before, NAME - before, "%s%.*s", before > 0 ? "." : "", (int)n, key);
    const int rc = walk(w, v);
    w->length = before;
    w->name[before] = '\0';
    return rc;
}

static int walk_dict(walker *w, const tw_py *v)
{
    char number[24];
    for (size_t i = 0; i + 1 < v->n; i += 2) {
        const tw_py *key = v->item[i];
        if (key->kind != TW_PY_STR && key->kind != TW_PY_INT)
            continue;
        const char *text = key->kind == TW_PY_STR ? key->s : number;
        size_t n = key->n;
        if (key->kind == TW_PY_INT)
            n = (size_t)snprintf(number, sizeof number, "%lld", (long long)key->i);
        if (walk_under(w, text, n, v->item[i + 1]) != 0)
            return -1;
    }
    return 0;
}

static int walk_list(walker *w, const tw_py *v)
{
    char number[24];
    bool deep = false;
    for (size_t i = 0; i < v->n; i++)
        deep = deep || v->item[i]->kind == TW_PY_TENSOR || v->item[i]->kind == TW_PY_ARRAY || v->item[i]->kind == TW_PY_DICT ||
               v->item[i]->kind == TW_PY_LIST;
    if (!deep)
        return add_list(w, v);
    for (size_t i = 0; i < v->n; i++)
        if (walk_under(w, number, (size_t)snprintf(number, sizeof number, "%zu", i), v->item[i]) != 0)
            return -1;
    return 0;
}

static int add_leaf(walker *w, const tw_py *v)
{
    char text[TEXT];
    describe(text, sizeof text, v);
    return w->length > 0 ? tw_contents_meta(w->to, w->name, text) : 0;
}

static int add_tensor(walker *w, const tw_py *v)
{
    tw_tensor t;
    if ((v->kind == TW_PY_ARRAY ? read_array(w, &t, v) : read_tensor(w, &t, v)) != 0)
        return tw_fail("tensor %.200s: %s", w->name, tw_error());
    return tw_contents_tensor(w->to, w->name, &t);
}

static int walk(walker *w, const tw_py *v)
{
    int rc;
    if (++w->visits > VISITS || w->depth == DEPTH)
        return tw_fail("%.200s: nested too deeply, or in itself", w->name);
    w->depth++;
    switch (v->kind) {
    case TW_PY_DICT: rc = walk_dict(w, v); break;
    case TW_PY_LIST: rc = walk_list(w, v); break;
    case TW_PY_TENSOR: rc = add_tensor(w, v); break;
    case TW_PY_ARRAY: rc = is_of_others(v) ? add_leaf(w, v) : add_tensor(w, v); break;
    default: rc = add_leaf(w, v);
    }
    w->depth--;
    return rc;
}

int tw_state_dict_read(tw_contents *c, const tw_py *value, tw_find_storage *find, void *context, size_t most)
{
    walker w = {.to = c, .find = find, .context = context, .most = most};
    if (value->kind == TW_PY_TENSOR)
        return walk_under(&w, "tensor", 6, value);
    return walk(&w, value);
}
