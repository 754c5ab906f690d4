/* Inside lib/checkpoint: writes the opcodes of a pickle one by one. Errors are the stream's (ferror). */
#ifndef TW_CHECKPOINT_PICKLE_WRITE_H
#define TW_CHECKPOINT_PICKLE_WRITE_H

#include <stdint.h>
#include <stdio.h>

void tw_pickle_op(FILE *f, int opcode);
void tw_pickle_str(FILE *f, const char *text);
void tw_pickle_int(FILE *f, int64_t v);
void tw_pickle_bytes(FILE *f, const void *data, size_t size);
void tw_pickle_global(FILE *f, const char *module, const char *name);
void tw_pickle_ints(FILE *f, const int64_t *v, int n); /* a tuple */

enum {
    TW_OP_MARK = '(',
    TW_OP_TUPLE = 't',
    TW_OP_EMPTY_TUPLE = ')',
    TW_OP_EMPTY_DICT = '}',
    TW_OP_SETITEMS = 'u',
    TW_OP_REDUCE = 'R',
    TW_OP_BUILD = 'b',
    TW_OP_BINPERSID = 'Q',
    TW_OP_NONE = 'N',
    TW_OP_TRUE = 0x88,
    TW_OP_FALSE = 0x89,
    TW_OP_STOP = '.'
};

#endif
