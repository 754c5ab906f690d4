#include "stream/msg.h"

#include "core/error.h"

#include <string.h>

static uint64_t big_endian(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static void set_signed(tw_msg *m, int64_t v)
{
    m->type = v < 0 ? TW_MSG_INT : TW_MSG_UINT;
    m->i = v;
}

static void set_float(tw_msg *m, uint64_t bits, int size)
{
    const uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    memcpy(&m->f, &bits, sizeof m->f);
    if (size == 4)
        m->f = (double)f;
}

/* The heads 0xc0 to 0xdf: type, number of bytes after the first, and the amount to add to the number in these bytes. */
static const struct {
    unsigned char type, bytes, add;
} heads[32] = {
    {TW_MSG_NIL, 0, 0},   {0xff, 0, 0},         {TW_MSG_BOOL, 0, 0},  {TW_MSG_BOOL, 0, 1},  /* nil, -, false, true */
    {TW_MSG_BIN, 1, 0},   {TW_MSG_BIN, 2, 0},   {TW_MSG_BIN, 4, 0},   {TW_MSG_EXT, 1, 1},   /* bin 8 16 32, ext 8 */
    {TW_MSG_EXT, 2, 1},   {TW_MSG_EXT, 4, 1},   {TW_MSG_FLOAT, 4, 0}, {TW_MSG_FLOAT, 8, 0}, /* ext 16 32, float 32 64 */
    {TW_MSG_UINT, 1, 0},  {TW_MSG_UINT, 2, 0},  {TW_MSG_UINT, 4, 0},  {TW_MSG_UINT, 8, 0},  /* uint 8 16 32 64 */
    {TW_MSG_INT, 1, 0},   {TW_MSG_INT, 2, 0},   {TW_MSG_INT, 4, 0},   {TW_MSG_INT, 8, 0},   /* int 8 16 32 64 */
    {TW_MSG_EXT, 0, 2},   {TW_MSG_EXT, 0, 3},   {TW_MSG_EXT, 0, 5},   {TW_MSG_EXT, 0, 9},   /* fixext 1 2 4 8 */
    {TW_MSG_EXT, 0, 17},  {TW_MSG_STR, 1, 0},   {TW_MSG_STR, 2, 0},   {TW_MSG_STR, 4, 0},   /* fixext 16, str 8 16 32 */
    {TW_MSG_ARRAY, 2, 0}, {TW_MSG_ARRAY, 4, 0}, {TW_MSG_MAP, 2, 0},   {TW_MSG_MAP, 4, 0},   /* array 16 32, map 16 32 */
};

int tw_msg_head(tw_msg *m, const unsigned char *p, size_t n)
{
    if (n == 0)
        return 0;
    const unsigned b = p[0];
    if (b < 0x80 || b >= 0xe0) { /* small integers */
        set_signed(m, b < 0x80 ? (int64_t)b : (int64_t)b - 256);
        return 1;
    }
    if (b < 0xc0) { /* small map, array, str */
        m->type = b < 0x90 ? TW_MSG_MAP : b < 0xa0 ? TW_MSG_ARRAY : TW_MSG_STR;
        m->n = b < 0xa0 ? b & 15 : b & 31;
        return 1;
    }
    const int type = heads[b - 0xc0].type, bytes = heads[b - 0xc0].bytes;
    if (type == 0xff)
        return -1;
    if (n < 1 + (size_t)bytes)
        return 0;
    const uint64_t v = big_endian(p + 1, bytes) + heads[b - 0xc0].add;
    m->type = (tw_msg_type)type;
    m->u = v;
    if (type == TW_MSG_BOOL)
        m->yes = v != 0;
    else if (type == TW_MSG_INT)
        set_signed(m, bytes == 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    else if (type == TW_MSG_FLOAT)
        set_float(m, v, bytes);
    return 1 + bytes;
}

int tw_cursor_next(tw_cursor *c, tw_msg *m, const unsigned char **payload)
{
    const size_t left = (size_t)(c->end - c->p);
    const int head = tw_msg_head(m, c->p, left);
    if (head <= 0 || tw_msg_payload(m) > left - (size_t)head)
        return tw_fail("a value is truncated");
    if (payload != NULL)
        *payload = c->p + head;
    c->p += (size_t)head + tw_msg_payload(m);
    return 0;
}

int tw_cursor_skip(tw_cursor *c)
{
    tw_msg m;
    for (uint64_t left = 1; left > 0; left--) { /* terminates: each value takes at least one byte */
        if (tw_cursor_next(c, &m, NULL) != 0)
            return -1;
        if (m.type == TW_MSG_ARRAY || m.type == TW_MSG_MAP)
            left += m.type == TW_MSG_MAP ? 2 * (uint64_t)m.n : m.n;
    }
    return 0;
}

bool tw_msg_is(const tw_msg *m, const unsigned char *payload, const char *text)
{
    return (m->type == TW_MSG_STR || m->type == TW_MSG_BIN) && m->n == strlen(text) && memcmp(payload, text, m->n) == 0;
}
