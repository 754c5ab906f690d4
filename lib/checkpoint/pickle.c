#include "checkpoint/pickle.h"

#include "checkpoint/pickle_machine.h"
#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

tw_py *tw_machine_value(tw_pickle *p, tw_py_kind kind)
{
    if (p->n_values++ == MOST_VALUES)
        return tw_fail("more than %d values", MOST_VALUES), NULL;
    if (p->chunks == NULL || p->chunks->n == CHUNK) {
        chunk *c = tw_calloc(1, sizeof *c);
        if (c == NULL)
            return NULL;
        c->next = p->chunks;
        p->chunks = c;
    }
    tw_py *v = &p->chunks->value[p->chunks->n++];
    v->kind = kind;
    return v;
}

int tw_machine_push(tw_pickle *p, tw_py *v)
{
    if (v == NULL)
        return -1;
    if (p->n == MOST_STACK)
        return tw_fail("a stack of more than %d values", MOST_STACK);
    if (tw_grow(&p->stack, &p->cap, p->n + 1, sizeof(tw_py *)) != 0)
        return -1;
    p->stack[p->n++] = v;
    return 0;
}

tw_py *tw_machine_pop(tw_pickle *p)
{
    if (p->n == 0 || p->stack[p->n - 1]->kind == TW_PY_MARK)
        return tw_fail("takes more from the stack than is there"), NULL;
    return p->stack[--p->n];
}

tw_py *tw_machine_top(const tw_pickle *p)
{
    if (p->n == 0 || p->stack[p->n - 1]->kind == TW_PY_MARK)
        return tw_fail("takes more from the stack than is there"), NULL;
    return p->stack[p->n - 1];
}

int tw_machine_number(tw_pickle *p, tw_py_kind kind, int64_t i)
{
    tw_py *v = tw_machine_value(p, kind);
    if (v != NULL)
        v->i = i;
    return tw_machine_push(p, v);
}

/* Consumes the next n bytes; NULL and tw_error() if the pickle ends before. */
static const unsigned char *take(tw_pickle *p, uint64_t n)
{
    if (n > p->size - p->at)
        return tw_fail("truncated"), NULL;
    p->at += n;
    return p->data + p->at - n;
}

/* Consumes a little-endian number of n bytes. */
static int take_number(tw_pickle *p, uint64_t *v, int n)
{
    const unsigned char *b = take(p, (uint64_t)n);
    *v = 0;
    for (int i = n - 1; b != NULL && i >= 0; i--)
        *v = *v << 8 | b[i];
    return b != NULL ? 0 : -1;
}

static int push_text(tw_pickle *p, int length_bytes)
{
    uint64_t n;
    tw_py *v = tw_machine_value(p, TW_PY_STR);
    if (v == NULL || take_number(p, &n, length_bytes) != 0 || (v->s = (const char *)take(p, n)) == NULL)
        return -1;
    v->n = n;
    return tw_machine_push(p, v);
}

static int push_float(tw_pickle *p)
{
    const unsigned char *b = take(p, 8);
    tw_py *v = tw_machine_value(p, TW_PY_FLOAT);
    uint64_t bits = 0;
    if (b == NULL || v == NULL)
        return -1;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | b[i];
    memcpy(&v->f, &bits, sizeof bits);
    return tw_machine_push(p, v);
}

/* LONG1, LONG4: two's complement of any length; with more than 64 bits it becomes OPAQUE. */
static int push_long(tw_pickle *p, int length_bytes)
{
    uint64_t n, bits = 0;
    if (take_number(p, &n, length_bytes) != 0)
        return -1;
    const unsigned char *b = take(p, n);
    if (b == NULL)
        return -1;
    if (n > 8)
        return tw_machine_number(p, TW_PY_OPAQUE, 0);
    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)(i < n ? b[i] : n > 0 && b[n - 1] >= 128 ? 255 : 0) << 8 * i;
    return tw_machine_number(p, TW_PY_INT, (int64_t)bits);
}

static int push_bytes_number(tw_pickle *p, int n)
{
    uint64_t v;
    if (take_number(p, &v, n) != 0)
        return -1;
    return tw_machine_number(p, TW_PY_INT, n == 4 ? (int64_t)(int32_t)v : (int64_t)v);
}

int tw_machine_append(tw_pickle *p, tw_py *to, tw_py *const *item, size_t n)
{
    p->n_items += n;
    if (p->n_items > MOST_STACK)
        return tw_fail("more than %d values in its lists", MOST_STACK);
    if (tw_grow(&to->item, &to->cap, to->n + n, sizeof(tw_py *)) != 0)
        return -1;
    if (n > 0)
        memcpy(to->item + to->n, item, n * sizeof(tw_py *));
    to->n += n;
    return 0;
}

/* Finds the n values above the topmost mark: the first is p->stack[*first], the mark is right below it. */
static int above_mark(const tw_pickle *p, size_t *first, size_t *n)
{
    for (size_t i = p->n; i > 0; i--)
        if (p->stack[i - 1]->kind == TW_PY_MARK) {
            *first = i;
            *n = p->n - i;
            return 0;
        }
    return tw_fail("no mark on the stack");
}

/* Replaces the top n values by a tuple of them. */
static int push_tuple(tw_pickle *p, size_t n)
{
    tw_py *v = tw_machine_value(p, TW_PY_LIST);
    for (size_t i = 0; i < n; i++)
        if (p->n <= i || p->stack[p->n - 1 - i]->kind == TW_PY_MARK)
            return tw_fail("takes more from the stack than is there");
    if (v == NULL || tw_machine_append(p, v, p->stack + p->n - n, n) != 0)
        return -1;
    p->n -= n;
    return tw_machine_push(p, v);
}

static int push_marked(tw_pickle *p, tw_py_kind kind)
{
    size_t first = 0, n = 0;
    tw_py *v = tw_machine_value(p, kind);
    if (v == NULL || above_mark(p, &first, &n) != 0 || tw_machine_append(p, v, p->stack + first, n) != 0)
        return -1;
    if (kind == TW_PY_DICT && n % 2 != 0)
        return tw_fail("a key without a value");
    p->n = first - 1;
    return tw_machine_push(p, v);
}

/* Appends the values above the mark (marked), or the top n, to the list or dict below them. */
static int add_items(tw_pickle *p, tw_py_kind kind, bool marked, size_t n)
{
    size_t first = p->n - n;
    if (marked ? above_mark(p, &first, &n) != 0 : p->n < n + 1)
        return marked ? -1 : tw_fail("takes more from the stack than is there");
    const size_t below = first - (marked ? 1 : 0);
    tw_py *to = below > 0 ? p->stack[below - 1] : NULL;
    for (size_t i = first; i < first + n; i++)
        if (p->stack[i]->kind == TW_PY_MARK)
            return tw_fail("takes more from the stack than is there");
    if (to == NULL || to->kind != kind || (kind == TW_PY_DICT && n % 2 != 0))
        return tw_fail("adds to a value that is not a %s", kind == TW_PY_DICT ? "dict" : "list");
    p->n = below;
    return tw_machine_append(p, to, p->stack + first, n);
}

static int remember(tw_pickle *p, uint64_t at)
{
    tw_py *v = tw_machine_top(p);
    if (v == NULL)
        return -1;
    if (at >= MOST_MEMO)
        return tw_fail("more than %d values in the memo", MOST_MEMO);
    if (tw_grow(&p->memo, &p->memo_cap, at + 1, sizeof(tw_py *)) != 0)
        return -1;
    while (p->n_memo <= at)
        p->memo[p->n_memo++] = NULL;
    p->memo[at] = v;
    return 0;
}

static int recall(tw_pickle *p, int bytes)
{
    uint64_t at;
    if (take_number(p, &at, bytes) != 0)
        return -1;
    if (at >= p->n_memo || p->memo[at] == NULL)
        return tw_fail("reads a value that is not in the memo");
    return tw_machine_push(p, p->memo[at]);
}

/* GLOBAL: module and name as two lines of text. */
static int read_global(tw_pickle *p)
{
    const unsigned char *text = p->data + p->at, *end = p->data + p->size;
    const unsigned char *first = memchr(text, '\n', (size_t)(end - text));
    const unsigned char *second = first != NULL ? memchr(first + 1, '\n', (size_t)(end - first - 1)) : NULL;
    if (second == NULL)
        return tw_fail("truncated");
    p->at = (size_t)(second - p->data) + 1;
    return tw_machine_global(p, (const char *)text, (size_t)(first - text), (const char *)first + 1, (size_t)(second - first) - 1);
}

static int stack_global(tw_pickle *p)
{
    const tw_py *name = tw_machine_pop(p), *module = name != NULL ? tw_machine_pop(p) : NULL;
    if (module == NULL)
        return -1;
    if (name->kind != TW_PY_STR || module->kind != TW_PY_STR)
        return tw_fail("a global whose name is not a string");
    return tw_machine_global(p, module->s, module->n, name->s, name->n);
}

/* Runs an opcode that pushes a value. 1: done; 0: it is another opcode; -1 and tw_error(). */
static int run_value(tw_pickle *p, unsigned char op)
{
    switch (op) {
    case 'N': return tw_machine_number(p, TW_PY_NONE, 0) == 0 ? 1 : -1;
    case 0x88: return tw_machine_number(p, TW_PY_BOOL, 1) == 0 ? 1 : -1;
    case 0x89: return tw_machine_number(p, TW_PY_BOOL, 0) == 0 ? 1 : -1;
    case 'J': return push_bytes_number(p, 4) == 0 ? 1 : -1;
    case 'K': return push_bytes_number(p, 1) == 0 ? 1 : -1;
    case 'M': return push_bytes_number(p, 2) == 0 ? 1 : -1;
    case 0x8a: return push_long(p, 1) == 0 ? 1 : -1;
    case 0x8b: return push_long(p, 4) == 0 ? 1 : -1;
    case 'G': return push_float(p) == 0 ? 1 : -1;
    case 'X':  /* BINUNICODE */
    case 'B':  /* BINBYTES */
    case 'T': return push_text(p, 4) == 0 ? 1 : -1;
    case 0x8c: /* SHORT_BINUNICODE */
    case 'C':
    case 'U': return push_text(p, 1) == 0 ? 1 : -1;
    case 0x8d: /* BINUNICODE8, BINBYTES8, BYTEARRAY8 */
    case 0x8e:
    case 0x96: return push_text(p, 8) == 0 ? 1 : -1;
    case ']':
    case ')':
    case 0x8f: return tw_machine_number(p, TW_PY_LIST, 0) == 0 ? 1 : -1;
    case '}': return tw_machine_number(p, TW_PY_DICT, 0) == 0 ? 1 : -1;
    case '(': return tw_machine_number(p, TW_PY_MARK, 0) == 0 ? 1 : -1;
    case 'h': return recall(p, 1) == 0 ? 1 : -1;
    case 'j': return recall(p, 4) == 0 ? 1 : -1;
    case 'c': return read_global(p) == 0 ? 1 : -1;
    }
    return 0;
}

static int pop_mark(tw_pickle *p)
{
    size_t first = 0, n = 0;
    if (above_mark(p, &first, &n) != 0)
        return -1;
    p->n = first - 1;
    return 0;
}

/* Runs an opcode that changes what is on the stack. Returns as run_value. */
static int run_change(tw_pickle *p, unsigned char op)
{
    uint64_t v = 0;
    switch (op) {
    case 'a': return add_items(p, TW_PY_LIST, false, 1) == 0 ? 1 : -1;
    case 'e':
    case 0x90: return add_items(p, TW_PY_LIST, true, 0) == 0 ? 1 : -1;
    case 's': return add_items(p, TW_PY_DICT, false, 2) == 0 ? 1 : -1;
    case 'u': return add_items(p, TW_PY_DICT, true, 0) == 0 ? 1 : -1;
    case 't':
    case 'l':
    case 0x91: return push_marked(p, TW_PY_LIST) == 0 ? 1 : -1;
    case 'd': return push_marked(p, TW_PY_DICT) == 0 ? 1 : -1;
    case 0x85: return push_tuple(p, 1) == 0 ? 1 : -1;
    case 0x86: return push_tuple(p, 2) == 0 ? 1 : -1;
    case 0x87: return push_tuple(p, 3) == 0 ? 1 : -1;
    case 'q': return take_number(p, &v, 1) == 0 && remember(p, v) == 0 ? 1 : -1;
    case 'r': return take_number(p, &v, 4) == 0 && remember(p, v) == 0 ? 1 : -1;
    case 0x94: return remember(p, p->n_memo) == 0 ? 1 : -1;
    case '0': return tw_machine_pop(p) != NULL ? 1 : -1;
    case '1': return pop_mark(p) == 0 ? 1 : -1;
    case '2': return tw_machine_push(p, tw_machine_top(p)) == 0 ? 1 : -1;
    case 'R':
    case 0x81: return tw_machine_call(p) == 0 ? 1 : -1; /* NEWOBJ: cls.__new__(cls, *args) */
    case 'b': return tw_machine_build(p) == 0 ? 1 : -1;
    case 'Q': return tw_machine_persistent(p) == 0 ? 1 : -1;
    case 0x93: return stack_global(p) == 0 ? 1 : -1;
    case 0x80: return take_number(p, &v, 1) == 0 ? 1 : -1; /* PROTO */
    case 0x95: return take_number(p, &v, 8) == 0 ? 1 : -1; /* FRAME */
    }
    return 0;
}

static int run(tw_pickle *p)
{
    for (;;) {
        const unsigned char *op = take(p, 1);
        if (op == NULL)
            return -1;
        if (*op == '.') {
            p->result = tw_machine_pop(p);
            return p->result != NULL ? 0 : -1;
        }
        int rc = run_value(p, *op);
        if (rc == 0)
            rc = run_change(p, *op);
        if (rc == 0)
            return tw_fail("opcode 0x%02x, which no state dict needs", *op);
        if (rc < 0)
            return -1;
    }
}

tw_pickle *tw_pickle_read(const unsigned char *data, size_t size, size_t *used)
{
    tw_pickle *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->data = data;
    p->size = size;
    if (run(p) == 0) {
        *used = p->at;
        return p;
    }
    tw_fail("pickle, byte %zu: %s", p->at, tw_error());
    tw_pickle_free(p);
    return NULL;
}

const tw_py *tw_pickle_value(const tw_pickle *p)
{
    return p->result;
}

const tw_py *tw_pickle_storage(const tw_pickle *p, size_t i)
{
    return i < p->n_storages ? p->storage[i] : NULL;
}

void tw_pickle_free(tw_pickle *p)
{
    if (p == NULL)
        return;
    for (chunk *c = p->chunks, *next; c != NULL; c = next) {
        next = c->next;
        for (int i = 0; i < c->n; i++)
            free(c->value[i].item);
        free(c);
    }
    free(p->stack);
    free(p->memo);
    free(p->storage);
    free(p);
}
