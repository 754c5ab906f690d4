/* Inside lib/checkpoint: the machine that runs a pickle. pickle.c has the stack and the opcodes of plain data, pickle_calls.c the known globals and
 * the results of calling them. Functions return 0, or -1 and tw_error(). */
#ifndef TW_CHECKPOINT_PICKLE_MACHINE_H
#define TW_CHECKPOINT_PICKLE_MACHINE_H

#include "checkpoint/pickle.h"

/* Limits: far above what state dicts and optimizers need, and such that a hostile file cannot make us allocate 1 GB. */
enum { MOST_VALUES = 1 << 22, MOST_STACK = 1 << 22, MOST_MEMO = 1 << 22, CHUNK = 4096 };

typedef struct chunk {
    struct chunk *next;
    int n;
    tw_py value[CHUNK];
} chunk;

struct tw_pickle {
    const unsigned char *data;
    size_t size, at;
    chunk *chunks;
    size_t n_values, n_items;
    tw_py **stack;
    size_t n, cap;
    tw_py **memo;
    size_t n_memo, memo_cap;
    tw_py **storage;
    size_t n_storages, storage_cap;
    tw_py *result;
};

/* A new value; NULL and tw_error() if there are too many. */
tw_py *tw_machine_value(tw_pickle *p, tw_py_kind kind);

/* The stack. push(NULL) fails; pop and top return NULL and tw_error() if there is nothing above the topmost mark. */
int tw_machine_push(tw_pickle *p, tw_py *v);
int tw_machine_number(tw_pickle *p, tw_py_kind kind, int64_t i); /* pushes a new value */
tw_py *tw_machine_pop(tw_pickle *p);
tw_py *tw_machine_top(const tw_pickle *p);

/* Appends n items to a list or dict; `item` must not point into to->item. */
int tw_machine_append(tw_pickle *p, tw_py *to, tw_py *const *item, size_t n);

/* GLOBAL, REDUCE and NEWOBJ, BUILD, BINPERSID. */
int tw_machine_global(tw_pickle *p, const char *module, size_t m, const char *name, size_t n);
int tw_machine_call(tw_pickle *p);
int tw_machine_build(tw_pickle *p);
int tw_machine_persistent(tw_pickle *p);

#endif
