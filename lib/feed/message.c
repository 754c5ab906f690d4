#include "feed/message.h"

#include "core/error.h"
#include "stream/msg.h"

#include <msgpack.h>
#include <stddef.h>
#include <string.h>

const char *const tw_fail_names[] = {"", "decode", "limit", "crash", "timeout", "io", "returned"};

typedef enum { INT, NIL_INT, U64, TEXT } kind; /* INT: 0 .. 2^63-1; NIL_INT: nil is -1 */

typedef struct {
    kind kind;
    size_t at;
    int64_t most; /* INT: largest value; TEXT: most bytes */
} field;

#define F(kind, name, most) {kind, offsetof(tw_feed_msg, name), most}
enum { ANY = 0, FIELDS = 14 };

/* The fields of each message type, in wire order. */
static const struct {
    int n;
    field f[FIELDS];
} layout[] = {
    [TW_HELLO] = {4, {F(INT, protocol, ANY), F(TEXT, text, 64), F(TEXT, name, 128), F(INT, slots, TW_FEED_SLOTS)}},
    [TW_WELCOME] = {5, {F(INT, protocol, ANY), F(U64, session, ANY), F(INT, hb_ms, 3600000), F(INT, lease_ms, 86400000), F(INT, max_bytes, ANY)}},
    [TW_REFUSE] = {2, {F(INT, code, 100), F(TEXT, text, 512)}},
    [TW_LEASE] = {13, {F(U64, session, ANY), F(INT, pos, ANY), F(U64, lease, ANY), F(INT, sub, ANY), F(INT, what.index, ANY),
                       F(INT, what.epoch, ANY), F(INT, what.pos, ANY), F(NIL_INT, what.label, ANY), F(NIL_INT, what.sub, ANY),
                       F(TEXT, what.key, TW_FEED_TEXT), F(TEXT, what.path, TW_FEED_TEXT), F(INT, what.offset, ANY),
                       F(NIL_INT, what.length, ANY)}},
    [TW_DONE] = {6, {F(U64, session, ANY), F(INT, pos, ANY), F(U64, lease, ANY), F(INT, sub, ANY), F(INT, crc, UINT32_MAX), F(INT, bytes, ANY)}},
    [TW_FAIL] = {6,
                 {F(U64, session, ANY), F(INT, pos, ANY), F(U64, lease, ANY), F(INT, sub, ANY), F(INT, code, TW_FAIL_RETURNED), F(TEXT, text, 600)}},
    [TW_PING] = {5, {F(U64, session, ANY), F(INT, slots, TW_FEED_SLOTS), F(INT, held, TW_FEED_SLOTS), F(INT, done, ANY), F(INT, failed, ANY)}},
    [TW_PONG] = {2, {F(U64, session, ANY), F(INT, pos, ANY)}},
    [TW_BYE] = {2, {F(U64, session, ANY), F(TEXT, text, 512)}},
    [TW_READY] = {1, {F(U64, session, ANY)}},
    [TW_ASK] = {0, {{0, 0, 0}}},
    [TW_TELL] = {0, {{0, 0, 0}}},
};
enum { TYPES = sizeof layout / sizeof *layout };

static int append(void *bytes, const char *data, size_t n)
{
    return tw_bytes_append(bytes, data, n);
}

static int pack(msgpack_packer *pk, const field *f, const void *at)
{
    if (f->kind == TEXT) {
        const char *text = *(const char *const *)at;
        size_t n = text != NULL ? strlen(text) : 0;
        if (n > (size_t)f->most)
            n = (size_t)f->most;
        return msgpack_pack_bin(pk, n) || (n > 0 && msgpack_pack_bin_body(pk, text, n)); /* names of files need not be UTF-8 */
    }
    if (f->kind == U64)
        return msgpack_pack_uint64(pk, *(const uint64_t *)at);
    const int64_t v = *(const int64_t *)at;
    return f->kind == NIL_INT && v < 0 ? msgpack_pack_nil(pk) : msgpack_pack_int64(pk, v);
}

int tw_feed_encode(tw_bytes *out, const tw_feed_msg *m)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, append);
    int rc = msgpack_pack_array(&pk, (size_t)layout[m->type].n + 1) || msgpack_pack_int(&pk, (int)m->type);
    for (int i = 0; i < layout[m->type].n && rc == 0; i++)
        rc = pack(&pk, &layout[m->type].f[i], (const char *)m + layout[m->type].f[i].at);
    return rc == 0 ? 0 : tw_fail("out of memory");
}

/* Copies a text, NUL-terminated, to *to and advances *to. Fails if it is too long or contains control characters. */
static int read_text(const char **text, char **to, const unsigned char *p, size_t n, int64_t most, bool file)
{
    if (n > (size_t)most)
        return tw_fail("a text of %zu bytes; it may have %lld", n, (long long)most);
    for (size_t i = 0; i < n; i++) {
        (*to)[i] = (char)p[i];
        if (p[i] == 0 || (!file && (p[i] < 32 || p[i] == 127)))
            (*to)[i] = '?';
        if (p[i] == 0 && file)
            return tw_fail("a NUL byte in a name");
    }
    (*to)[n] = '\0';
    *text = *to;
    *to += n + 1;
    return 0;
}

static int unpack(tw_feed_msg *m, const field *f, char **text, tw_cursor *c)
{
    tw_msg v;
    const unsigned char *p;
    void *at = (char *)m + f->at;
    if (tw_cursor_next(c, &v, &p) != 0)
        return -1;
    if (f->kind == TEXT && (v.type == TW_MSG_BIN || v.type == TW_MSG_STR))
        return read_text(at, text, p, v.n, f->most, m->type == TW_LEASE);
    if (f->kind == NIL_INT && v.type == TW_MSG_NIL) {
        *(int64_t *)at = -1;
        return 0;
    }
    if (f->kind == TEXT || v.type != TW_MSG_UINT)
        return tw_fail("a value of the wrong type");
    if (f->kind == U64) {
        *(uint64_t *)at = v.u;
        return 0;
    }
    if (v.u > INT64_MAX || (f->most != ANY && v.u > (uint64_t)f->most))
        return tw_fail("a number out of range");
    memcpy(at, &v.u, sizeof v.u);
    return 0;
}

int tw_feed_decode(tw_feed_msg *m, char *text, const unsigned char *data, size_t n)
{
    tw_cursor c = {data, data + n};
    tw_msg head, type;
    *m = (tw_feed_msg){.text = "", .name = "", .what = {.key = "", .path = "", .label = -1, .sub = -1, .length = -1}};
    if (n > TW_FEED_CONTROL)
        return tw_fail("a message of %zu bytes", n);
    if (tw_cursor_next(&c, &head, NULL) != 0 || head.type != TW_MSG_ARRAY || tw_cursor_next(&c, &type, NULL) != 0)
        return tw_fail("not a farm message");
    if (type.type != TW_MSG_UINT || type.u == 0 || type.u >= TYPES)
        return tw_fail("a message of an unknown type");
    m->type = (tw_feed_type)type.u;
    if (head.n != (size_t)layout[m->type].n + 1)
        return tw_fail("a message of type %d with %zu values", (int)m->type, head.n);
    for (int i = 0; i < layout[m->type].n; i++)
        if (unpack(m, &layout[m->type].f[i], &text, &c) != 0)
            return -1;
    return c.p == c.end ? 0 : tw_fail("extra bytes after a message");
}

char *tw_feed_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    return text;
}
