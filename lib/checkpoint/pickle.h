/* Reads Python pickles of state dicts without Python, by a small machine that knows the opcodes of plain data and the few callables by which PyTorch
 * and numpy rebuild tensors. Nothing is called; every other global is refused by name, so no code can run. */
#ifndef TW_CHECKPOINT_PICKLE_H
#define TW_CHECKPOINT_PICKLE_H

#include "core/tensor.h"

#include <stdbool.h>

typedef enum {
    TW_PY_NONE,
    TW_PY_BOOL,    /* i */
    TW_PY_INT,     /* i */
    TW_PY_FLOAT,   /* f */
    TW_PY_STR,     /* n bytes at s, borrowed from the pickle; also bytes and bytearrays */
    TW_PY_LATIN1,  /* bytes that were pickled as text, n bytes of UTF-8 at s: each character is a byte */
    TW_PY_LIST,    /* n items: a list, tuple, set or deque */
    TW_PY_DICT,    /* n items: key, value, key, value; also an OrderedDict, ... and the attributes of a Namespace */
    TW_PY_TENSOR,  /* items: STORAGE, INT offset, LIST of sizes, LIST of strides (kinds not checked yet), ... (6: type) */
    TW_PY_STORAGE, /* items: "storage", GLOBAL class, STR key, device, INT elements */
    TW_PY_ARRAY,   /* numpy's; items: ..., LIST of sizes, DTYPE, BOOL Fortran order, STR or LATIN1 (kinds not checked yet) */
    TW_PY_DTYPE,   /* numpy's; items: STR like "f4", then, if given, STR byte order */
    TW_PY_SCALAR,  /* numpy's; items: DTYPE, STR or LATIN1 (kinds not checked yet) */
    TW_PY_GLOBAL,  /* i: index in the table of known globals */
    TW_PY_OPAQUE,  /* a value of a known, harmless class that is not interpreted (a path, an integer of more than 64 bits) */
    TW_PY_MARK,    /* the machine's own */
} tw_py_kind;

typedef struct tw_py tw_py;
struct tw_py {
    tw_py_kind kind;
    int64_t i;
    double f;
    const char *s;
    size_t n, cap;
    tw_py **item;
};

typedef struct tw_pickle tw_pickle;

/* Runs the pickle at data, which must outlive the result. *used: its length (what follows is ignored). NULL and tw_error(): truncated, broken, too
 * large for a state dict, or with a refused global. The values live until tw_pickle_free; they may be shared and, in a hostile pickle, contain
 * themselves, so code that walks them must limit how many it visits. */
tw_pickle *tw_pickle_read(const unsigned char *data, size_t size, size_t *used);
const tw_py *tw_pickle_value(const tw_pickle *p);
void tw_pickle_free(tw_pickle *p); /* NULL is allowed */

/* Reference i to a STORAGE in the pickle (a storage referred to several times appears as often); NULL: there are no more. */
const tw_py *tw_pickle_storage(const tw_pickle *p, size_t i);

/* storage_dtype: the element type of a STORAGE's class, in which its elements are counted; u8 for an untyped storage. tensor_dtype: that of a
 * TENSOR's storage or, if untyped, the type that the TENSOR gives; false: it gives none. */
tw_dtype tw_pickle_storage_dtype(const tw_py *storage);
bool tw_pickle_tensor_dtype(tw_dtype *out, const tw_py *tensor);

#endif
