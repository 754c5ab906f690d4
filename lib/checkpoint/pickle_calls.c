/* The globals that a pickle may name, and the results of calling them. Nothing is really called: a global has a meaning here or is refused. */
#include "checkpoint/pickle_machine.h"

#include "core/error.h"
#include "core/mem.h"

#include <string.h>

/* What a call of a global results in. */
typedef enum {
    OF_STORAGE,
    OF_BYTES,        /* an untyped storage: its tensors give their types */
    IS_DTYPE,
    MAKES_DICT,
    MAKES_EMPTY_DICT, /* whatever its arguments: items are set afterwards */
    MAKES_EMPTY_LIST,
    MAKES_TENSOR,
    MAKES_PARAMETER, /* the tensor that is its first argument */
    MAKES_OBJECT,    /* copyreg's constructor of an empty object of a class */
    IS_OBJECT,
    IS_NAMESPACE,
    IS_CLASS,        /* a class of plain data or a builtin, as the default factory of a defaultdict */
    MAKES_ARRAY,     /* numpy's array, empty: its state comes with BUILD */
    MAKES_FILLED,    /* numpy's array: bytes, dtype, shape, order */
    MAKES_DTYPE,     /* numpy's dtype, from its first argument */
    MAKES_SCALAR,    /* numpy's number */
    IS_ARRAY,
    MAKES_SAME,      /* its first argument */
    MAKES_EMPTY,     /* bytes() without arguments, as protocol 2 writes empty bytes */
    MAKES_BYTES,     /* other bytes in protocol 2: a text and the name of its encoding */
    MAKES_OPAQUE
} role;

static const struct {
    const char *name; /* "MODULE NAME" */
    role role;
    tw_dtype dtype;   /* of OF_STORAGE and IS_DTYPE */
} globals[] = {
    {"torch FloatStorage", OF_STORAGE, TW_F32},
    {"torch DoubleStorage", OF_STORAGE, TW_F64},
    {"torch HalfStorage", OF_STORAGE, TW_F16},
    {"torch BFloat16Storage", OF_STORAGE, TW_BF16},
    {"torch LongStorage", OF_STORAGE, TW_I64},
    {"torch IntStorage", OF_STORAGE, TW_I32},
    {"torch ByteStorage", OF_STORAGE, TW_U8},
    {"torch BoolStorage", OF_STORAGE, TW_BOOL},
    {"torch CharStorage", OF_STORAGE, TW_I8},
    {"torch ShortStorage", OF_STORAGE, TW_I16},
    {"torch ComplexFloatStorage", OF_STORAGE, TW_C64},
    {"torch ComplexDoubleStorage", OF_STORAGE, TW_C128},
    {"torch.storage UntypedStorage", OF_BYTES, 0},
    {"torch._utils _rebuild_tensor_v3", MAKES_TENSOR, 0},
    {"torch._utils _rebuild_tensor_v2", MAKES_TENSOR, 0},
    {"torch._utils _rebuild_tensor", MAKES_TENSOR, 0},
    {"torch._utils _rebuild_parameter", MAKES_PARAMETER, 0},
    {"torch.nn.parameter Parameter", MAKES_PARAMETER, 0},
    {"torch._tensor _rebuild_from_type_v2", MAKES_OPAQUE, 0},
    {"collections OrderedDict", MAKES_DICT, 0},
    {"collections defaultdict", MAKES_EMPTY_DICT, 0},
    {"collections Counter", MAKES_SAME, 0},
    {"collections deque", MAKES_EMPTY_LIST, 0},
    {"argparse Namespace", IS_NAMESPACE, 0},
    {"types SimpleNamespace", IS_NAMESPACE, 0},
    {"copyreg _reconstructor", MAKES_OBJECT, 0},
    {"copy_reg _reconstructor", MAKES_OBJECT, 0},
    {"builtins object", IS_OBJECT, 0},
    {"__builtin__ object", IS_OBJECT, 0},
    {"builtins set", MAKES_SAME, 0},
    {"__builtin__ set", MAKES_SAME, 0},
    {"builtins frozenset", MAKES_SAME, 0},
    {"__builtin__ frozenset", MAKES_SAME, 0},
    {"builtins bool", IS_CLASS, 0},
    {"__builtin__ bool", IS_CLASS, 0},
    {"builtins int", IS_CLASS, 0},
    {"__builtin__ int", IS_CLASS, 0},
    {"__builtin__ long", IS_CLASS, 0},
    {"builtins float", IS_CLASS, 0},
    {"__builtin__ float", IS_CLASS, 0},
    {"builtins str", IS_CLASS, 0},
    {"__builtin__ str", IS_CLASS, 0},
    {"__builtin__ unicode", IS_CLASS, 0},
    {"builtins list", IS_CLASS, 0},
    {"__builtin__ list", IS_CLASS, 0},
    {"builtins tuple", IS_CLASS, 0},
    {"__builtin__ tuple", IS_CLASS, 0},
    {"builtins dict", IS_CLASS, 0},
    {"__builtin__ dict", IS_CLASS, 0},
    {"builtins Ellipsis", IS_CLASS, 0},
    {"__builtin__ Ellipsis", IS_CLASS, 0},
    {"builtins complex", MAKES_OPAQUE, 0},
    {"__builtin__ complex", MAKES_OPAQUE, 0},
    {"builtins bytearray", MAKES_OPAQUE, 0},
    {"__builtin__ bytearray", MAKES_OPAQUE, 0},
    {"builtins range", MAKES_OPAQUE, 0},
    {"__builtin__ xrange", MAKES_OPAQUE, 0},
    {"builtins slice", MAKES_OPAQUE, 0},
    {"__builtin__ slice", MAKES_OPAQUE, 0},
    {"datetime datetime", MAKES_OPAQUE, 0},
    {"datetime date", MAKES_OPAQUE, 0},
    {"datetime time", MAKES_OPAQUE, 0},
    {"datetime timedelta", MAKES_OPAQUE, 0},
    {"datetime timezone", MAKES_OPAQUE, 0},
    {"torch Size", MAKES_SAME, 0},
    {"torch device", MAKES_OPAQUE, 0},
    {"torch float64", IS_DTYPE, TW_F64},
    {"torch float32", IS_DTYPE, TW_F32},
    {"torch float16", IS_DTYPE, TW_F16},
    {"torch bfloat16", IS_DTYPE, TW_BF16},
    {"torch int64", IS_DTYPE, TW_I64},
    {"torch int32", IS_DTYPE, TW_I32},
    {"torch int16", IS_DTYPE, TW_I16},
    {"torch int8", IS_DTYPE, TW_I8},
    {"torch uint64", IS_DTYPE, TW_U64},
    {"torch uint32", IS_DTYPE, TW_U32},
    {"torch uint16", IS_DTYPE, TW_U16},
    {"torch uint8", IS_DTYPE, TW_U8},
    {"torch bool", IS_DTYPE, TW_BOOL},
    {"torch float8_e4m3fn", IS_DTYPE, TW_F8_E4M3},
    {"torch float8_e5m2", IS_DTYPE, TW_F8_E5M2},
    {"torch complex64", IS_DTYPE, TW_C64},
    {"torch complex128", IS_DTYPE, TW_C128},
    {"numpy.core.multiarray scalar", MAKES_SCALAR, 0},
    {"numpy._core.multiarray scalar", MAKES_SCALAR, 0},
    {"numpy.core.multiarray _reconstruct", MAKES_ARRAY, 0},
    {"numpy._core.multiarray _reconstruct", MAKES_ARRAY, 0},
    {"numpy.core.numeric _frombuffer", MAKES_FILLED, 0},
    {"numpy._core.numeric _frombuffer", MAKES_FILLED, 0},
    {"numpy ndarray", IS_ARRAY, 0},
    {"numpy dtype", MAKES_DTYPE, 0},
    {"builtins bytes", MAKES_EMPTY, 0},
    {"__builtin__ bytes", MAKES_EMPTY, 0},
    {"_codecs encode", MAKES_BYTES, 0},
    {"pathlib PosixPath", MAKES_OPAQUE, 0},
    {"pathlib._local PosixPath", MAKES_OPAQUE, 0},
};

int tw_machine_global(tw_pickle *p, const char *module, size_t m, const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        const char *g = globals[i].name;
        if (strlen(g) == m + 1 + n && memcmp(g, module, m) == 0 && g[m] == ' ' && memcmp(g + m + 1, name, n) == 0)
            return tw_machine_number(p, TW_PY_GLOBAL, (int64_t)i);
    }
    if (m == 12 && memcmp(module, "torch._utils", m) == 0)
        return tw_fail("refused: it uses torch._utils.%.*s, for a kind of tensor that is not supported", (int)(n < 100 ? n : 100), name);
    return tw_fail("refused: it uses %.*s.%.*s, which no state dict needs: save one with torch.save(model.state_dict(), FILE)",
                   (int)(m < 100 ? m : 100), module, (int)(n < 100 ? n : 100), name);
}

static bool is_global(const tw_py *v, role r)
{
    return v->kind == TW_PY_GLOBAL && globals[v->i].role == r;
}

/* Pushes a value of that kind with the items of `of`. */
static int push_made(tw_pickle *p, tw_py_kind kind, const tw_py *of)
{
    tw_py *v = tw_machine_value(p, kind);
    if (v == NULL || tw_machine_append(p, v, of->item, of->n) != 0)
        return -1;
    return tw_machine_push(p, v);
}

static int push_tensor(tw_pickle *p, const tw_py *args)
{
    if (args->n < 4 || args->item[0]->kind != TW_PY_STORAGE || args->item[1]->kind != TW_PY_INT ||
        args->item[2]->kind != TW_PY_LIST || args->item[3]->kind != TW_PY_LIST)
        return tw_fail("a tensor that is not made of storage, offset, sizes and strides");
    return push_made(p, TW_PY_TENSOR, args);
}

/* OrderedDict(), or OrderedDict(list of pairs). */
static int push_dict(tw_pickle *p, const tw_py *args)
{
    tw_py *v = tw_machine_value(p, TW_PY_DICT);
    const tw_py *pairs = args->n > 0 ? args->item[0] : NULL;
    if (v == NULL || (pairs != NULL && pairs->kind != TW_PY_LIST))
        return v == NULL ? -1 : tw_fail("a dict made from a value that is not a list");
    for (size_t i = 0; pairs != NULL && i < pairs->n; i++) {
        const tw_py *pair = pairs->item[i];
        if (pair->kind != TW_PY_LIST || pair->n != 2 || tw_machine_append(p, v, pair->item, 2) != 0)
            return tw_fail("a dict made from an item that is not a pair");
    }
    return tw_machine_push(p, v);
}

static int push_dtype(tw_pickle *p, const tw_py *args)
{
    tw_py *v = tw_machine_value(p, TW_PY_DTYPE);
    if (v == NULL || (args->n > 0 && tw_machine_append(p, v, args->item, 1) != 0))
        return -1;
    return tw_machine_push(p, v);
}

/* Pushes an array with the state that others get by BUILD: version (ignored), shape, dtype, Fortran order, bytes. */
static int push_filled(tw_pickle *p, const tw_py *args)
{
    const tw_py *order = args->n == 4 ? args->item[3] : NULL;
    if (order == NULL || order->kind != TW_PY_STR || order->n != 1 || (order->s[0] != 'C' && order->s[0] != 'F'))
        return tw_fail("an array that is not made of bytes, type, shape and order");
    tw_py *v = tw_machine_value(p, TW_PY_ARRAY), *fortran = tw_machine_value(p, TW_PY_BOOL);
    if (v == NULL || fortran == NULL)
        return -1;
    fortran->i = order->s[0] == 'F';
    tw_py *const state[] = {fortran, args->item[2], args->item[1], fortran, args->item[0]};
    return tw_machine_append(p, v, state, 5) != 0 ? -1 : tw_machine_push(p, v);
}

/* Pushes a text of n bytes as a value of that kind. */
static int push_text(tw_pickle *p, tw_py_kind kind, const char *s, size_t n)
{
    tw_py *v = tw_machine_value(p, kind);
    if (v != NULL) {
        v->s = s;
        v->n = n;
    }
    return tw_machine_push(p, v);
}

static int push_encoded(tw_pickle *p, const tw_py *args)
{
    const bool texts = args->n == 2 && args->item[0]->kind == TW_PY_STR && args->item[1]->kind == TW_PY_STR;
    if (!texts || args->item[1]->n != 6 || memcmp(args->item[1]->s, "latin1", 6) != 0)
        return tw_machine_number(p, TW_PY_OPAQUE, 0);
    return push_text(p, TW_PY_LATIN1, args->item[0]->s, args->item[0]->n);
}

/* callable(*args), for the callables known here. */
int tw_machine_call(tw_pickle *p)
{
    const tw_py *args = tw_machine_pop(p), *f = args != NULL ? tw_machine_pop(p) : NULL;
    if (f == NULL)
        return -1;
    if (f->kind == TW_PY_OPAQUE)
        return tw_machine_number(p, TW_PY_OPAQUE, 0);
    if (f->kind != TW_PY_GLOBAL || args->kind != TW_PY_LIST)
        return tw_fail("refused: it calls a value that is not a function");
    switch (globals[f->i].role) {
    case MAKES_TENSOR: return push_tensor(p, args);
    case MAKES_PARAMETER: return args->n > 0 ? tw_machine_push(p, args->item[0]) : tw_fail("a parameter without a tensor");
    case MAKES_DICT: return push_dict(p, args);
    case MAKES_EMPTY_DICT: return tw_machine_number(p, TW_PY_DICT, 0);
    case MAKES_EMPTY_LIST: return tw_machine_number(p, TW_PY_LIST, 0);
    case MAKES_SAME: return args->n > 0 ? tw_machine_push(p, args->item[0]) : tw_machine_number(p, TW_PY_LIST, 0);
    case MAKES_EMPTY: return args->n == 0 ? push_text(p, TW_PY_STR, "", 0) : tw_machine_number(p, TW_PY_OPAQUE, 0);
    case MAKES_BYTES: return push_encoded(p, args);
    case IS_NAMESPACE: return tw_machine_number(p, TW_PY_DICT, 1);
    case MAKES_OBJECT:
        if (args->n > 0 && is_global(args->item[0], IS_NAMESPACE))
            return tw_machine_number(p, TW_PY_DICT, 1);
        break;
    case MAKES_OPAQUE: return tw_machine_number(p, TW_PY_OPAQUE, 0);
    case MAKES_ARRAY:
        if (args->n > 0 && is_global(args->item[0], IS_ARRAY))
            return tw_machine_number(p, TW_PY_ARRAY, 0);
        break;
    case MAKES_FILLED: return push_filled(p, args);
    case MAKES_DTYPE: return push_dtype(p, args);
    case MAKES_SCALAR: return push_made(p, TW_PY_SCALAR, args);
    case OF_STORAGE:
    case OF_BYTES:
    case IS_DTYPE:
    case IS_ARRAY:
    case IS_CLASS:
    case IS_OBJECT: break;
    }
    return tw_fail("refused: it calls %s", globals[f->i].name);
}

/* object.__setstate__(state): a Namespace's (i == 1) attributes become its items; those of a dict are dropped. */
int tw_machine_build(tw_pickle *p)
{
    const tw_py *state = tw_machine_pop(p);
    tw_py *v = state != NULL ? tw_machine_top(p) : NULL;
    if (v == NULL)
        return -1;
    if (v->kind == TW_PY_DICT && v->i == 1 && state->kind == TW_PY_DICT && state != v)
        return tw_machine_append(p, v, state->item, state->n);
    if (v->kind == TW_PY_ARRAY && v->n == 0 && state->kind == TW_PY_LIST)
        return tw_machine_append(p, v, state->item, state->n);
    if (v->kind == TW_PY_DTYPE && v->n == 1 && state->kind == TW_PY_LIST && state->n > 1) /* (version, byte order, ...) */
        return tw_machine_append(p, v, &state->item[1], 1);
    if (v->kind == TW_PY_DICT || v->kind == TW_PY_OPAQUE || v->kind == TW_PY_TENSOR)
        return 0;
    return tw_fail("refused: it sets the state of a value that has none");
}

int tw_machine_persistent(tw_pickle *p)
{
    const tw_py *id = tw_machine_pop(p);
    if (id == NULL)
        return -1;
    if (id->kind != TW_PY_LIST || id->n < 5 || id->item[0]->kind != TW_PY_STR || id->item[0]->n != 7 ||
        memcmp(id->item[0]->s, "storage", 7) != 0 || (!is_global(id->item[1], OF_STORAGE) && !is_global(id->item[1], OF_BYTES)) ||
        id->item[2]->kind != TW_PY_STR || id->item[4]->kind != TW_PY_INT)
        return tw_fail("a persistent id that does not name a storage");
    if (push_made(p, TW_PY_STORAGE, id) != 0 || tw_grow(&p->storage, &p->storage_cap, p->n_storages + 1, sizeof(tw_py *)) != 0)
        return -1;
    p->storage[p->n_storages++] = tw_machine_top(p);
    return 0;
}

tw_dtype tw_pickle_storage_dtype(const tw_py *storage)
{
    return is_global(storage->item[1], OF_BYTES) ? TW_U8 : globals[storage->item[1]->i].dtype;
}

bool tw_pickle_tensor_dtype(tw_dtype *out, const tw_py *tensor)
{
    const tw_py *storage = tensor->item[0];
    const bool bytes = is_global(storage->item[1], OF_BYTES), told = tensor->n > 6 && is_global(tensor->item[6], IS_DTYPE);
    *out = bytes && told ? globals[tensor->item[6]->i].dtype : tw_pickle_storage_dtype(storage);
    return told || !bytes;
}
