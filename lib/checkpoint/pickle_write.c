#include "checkpoint/pickle_write.h"

#include <stdbool.h>
#include <string.h>

static void number(FILE *f, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        putc((int)(v >> 8 * i & 255), f);
}

void tw_pickle_op(FILE *f, int opcode)
{
    putc(opcode, f);
}

void tw_pickle_str(FILE *f, const char *text)
{
    putc('X', f);
    number(f, strlen(text), 4);
    fputs(text, f);
}

void tw_pickle_int(FILE *f, int64_t v)
{
    if (v == (int32_t)v) {
        putc('J', f);
        number(f, (uint64_t)v, 4);
    } else {
        putc(0x8a, f); /* LONG1 */
        putc(8, f);
        number(f, (uint64_t)v, 8);
    }
}

void tw_pickle_bytes(FILE *f, const void *data, size_t size)
{
    const bool wide = size > 0xffffffff;
    putc(wide ? 0x8e : 'B', f);
    number(f, size, wide ? 8 : 4);
    fwrite(data, 1, size, f);
}

void tw_pickle_global(FILE *f, const char *module, const char *name)
{
    fprintf(f, "c%s\n%s\n", module, name);
}

void tw_pickle_ints(FILE *f, const int64_t *v, int n)
{
    putc(TW_OP_MARK, f);
    for (int i = 0; i < n; i++)
        tw_pickle_int(f, v[i]);
    putc(TW_OP_TUPLE, f);
}
