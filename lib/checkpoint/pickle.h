/* Python pickles of state dicts, without Python: a small machine that knows the opcodes of plain data and the handful of calls
 * by which PyTorch rebuilds its tensors. It calls nothing; every other global is refused by name, so that no code can run. */
#ifndef TW_CHECKPOINT_PICKLE_H
#define TW_CHECKPOINT_PICKLE_H

#include "core/tensor.h"

#include <stdbool.h>

typedef enum {
    TW_PY_NONE,
    TW_PY_BOOL,    /* i */
    TW_PY_INT,     /* i */
    TW_PY_FLOAT,   /* f */
    TW_PY_STR,     /* n bytes at s, borrowed from the pickle; bytes and bytearrays too */
    TW_PY_LATIN1,  /* bytes, written as a text of n bytes at s: each of its characters is one of them */
    TW_PY_LIST,    /* n items: a list, tuple, set or deque */
    TW_PY_DICT,    /* n items: key, value, key, value; also an OrderedDict, ... and the attributes of a Namespace */
    TW_PY_TENSOR,  /* item: STORAGE, INT offset, LIST of sizes, LIST of strides (of anything: to be checked), ... (6: type) */
    TW_PY_STORAGE, /* item: "storage", GLOBAL class, STR key, device, INT elements */
    TW_PY_ARRAY,   /* of numpy; item: ..., LIST of sizes, DTYPE, BOOL: Fortran's order, STR or LATIN1 (of anything: to be checked) */
    TW_PY_DTYPE,   /* of numpy; item: STR like "f4", then, where it was told, STR byte order */
    TW_PY_SCALAR,  /* of numpy; item: DTYPE, STR or LATIN1 (of anything: to be checked) */
    TW_PY_GLOBAL,  /* i: which of those known here */
    TW_PY_OPAQUE,  /* a value of a known and harmless class that is not looked into (a path, a number of more than 64 bits) */
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

/* Runs the pickle at data. *used: how many bytes it took (what follows is not looked at). NULL and tw_error(): cut, broken, too
 * large for a state dict, or a global that is refused. The values live until tw_pickle_free; they may be shared and, in a hostile
 * pickle, contain themselves: whoever walks them counts. */
tw_pickle *tw_pickle_read(const unsigned char *data, size_t size, size_t *used);
const tw_py *tw_pickle_value(const tw_pickle *p);
void tw_pickle_free(tw_pickle *p); /* NULL is allowed */

/* STORAGE number i of those that the pickle names, a storage as often as it is named; NULL: there are no more. */
const tw_py *tw_pickle_storage(const tw_pickle *p, size_t i);

/* The element type of a STORAGE's class: what its number of elements counts, u8 where it is bytes of any type. Of a TENSOR: the same, or
 * what it says the bytes are; false: it does not. */
tw_dtype tw_pickle_storage_dtype(const tw_py *storage);
bool tw_pickle_tensor_dtype(tw_dtype *out, const tw_py *tensor);

#endif
