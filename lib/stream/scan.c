#include "stream/scan.h"

#include "core/error.h"
#include "stream/msg.h"

void tw_scan_init(tw_scan *s, const tw_limits *limits)
{
    s->limits = *limits;
    s->at = s->last_key = 0;
    s->need = 1;
    s->depth = 0;
}

/* A key of the outermost map must be a str; keys of nested maps may also be bin (as in msgpack-numpy) or integers. */
static int check_key(tw_scan *s, const tw_msg *m)
{
    if (s->depth == 1) {
        s->last_key = s->at;
        return m->type == TW_MSG_STR ? 0 : tw_fail("byte %zu: a key that is not a string", s->at);
    }
    const bool good = m->type == TW_MSG_STR || m->type == TW_MSG_BIN || m->type == TW_MSG_UINT || m->type == TW_MSG_INT;
    return good ? 0 : tw_fail("byte %zu: a key that is neither string, bytes nor integer", s->at);
}

/* Checks a head of `head` bytes at s->at: its type is allowed there and its size is within the limits. */
static int check(tw_scan *s, const tw_msg *m, int head)
{
    const size_t limit = (size_t)s->limits.record;
    const size_t left = limit > s->at + (size_t)head ? limit - s->at - (size_t)head : 0;
    const bool map = m->type == TW_MSG_MAP, container = map || m->type == TW_MSG_ARRAY;
    if (s->depth == 0 && !map)
        return tw_fail("byte %zu: not a map", s->at);
    if (s->depth > 0 && s->level[s->depth - 1].map && s->level[s->depth - 1].left % 2 == 0 && check_key(s, m) != 0)
        return -1;
    if (map && m->n > (size_t)s->limits.keys)
        return tw_fail("byte %zu: a map of %zu keys (limit %d)", s->at, m->n, s->limits.keys);
    if (container && s->depth >= s->limits.depth)
        return tw_fail("byte %zu: nested deeper than %d", s->at, s->limits.depth);
    if (container && m->n > left)
        return tw_fail("byte %zu: an array of %zu values cannot fit in a record of %zu bytes", s->at, m->n, limit);
    if (tw_msg_payload(m) > left)
        return tw_fail("byte %zu: a value of %zu bytes exceeds the record's limit of %zu", s->at, m->n, limit);
    return 0;
}

int tw_scan_run(tw_scan *s, const unsigned char *data, size_t have)
{
    while (s->at == 0 || s->depth > 0) {
        tw_msg m;
        const int head = s->at < have ? tw_msg_head(&m, data + s->at, have - s->at) : 0;
        if (head < 0)
            return tw_fail("byte %zu: 0x%02x begins no msgpack value", s->at, data[s->at]);
        if (head == 0)
            goto wait;
        if (check(s, &m, head) != 0)
            return -1;
        s->at += (size_t)head + tw_msg_payload(&m);
        if (s->depth > 0)
            s->level[s->depth - 1].left--;
        if (m.type == TW_MSG_MAP || m.type == TW_MSG_ARRAY) {
            s->level[s->depth].map = m.type == TW_MSG_MAP;
            s->level[s->depth++].left = m.type == TW_MSG_MAP ? 2 * (uint64_t)m.n : m.n;
        }
        while (s->depth > 0 && s->level[s->depth - 1].left == 0)
            s->depth--;
    }
    if (s->at <= have)
        return 1;
wait: /* each outstanding value takes at least one byte; an incomplete head, at least one more than there is */
    s->need = s->at > have ? s->at : have + 1;
    uint64_t owed = 0;
    for (int i = 0; i < s->depth; i++)
        owed += s->level[i].left;
    if (s->at + owed > (uint64_t)s->limits.record)
        return tw_fail("byte %zu: larger than the limit of %lld bytes", s->at, (long long)s->limits.record);
    if (s->need < s->at + owed)
        s->need = s->at + (size_t)owed;
    return 0;
}
