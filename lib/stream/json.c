#include "stream/json.h"

#include "core/half.h"
#include "core/utf8.h"
#include "stream/fields.h"
#include "stream/msg.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_text(FILE *f, const unsigned char *p, size_t n)
{
    putc('"', f);
    while (n > 0) {
        const size_t len = tw_utf8(p, n);
        if (len == 0)
            fprintf(f, "\\udc%02x", p[0]);
        else if (p[0] == '"' || p[0] == '\\')
            fprintf(f, "\\%c", p[0]);
        else if (p[0] < 0x20 || p[0] == 0x7f)
            fprintf(f, "\\u%04x", p[0]);
        else
            fwrite(p, 1, len, f);
        p += len != 0 ? len : 1;
        n -= len != 0 ? len : 1;
    }
    putc('"', f);
}

/* Negative zero is printed as -0.0: most parsers read -0 as the integer 0. */
static void put_number(FILE *f, double v, int digits)
{
    if (v == 0 && signbit(v))
        fputs("-0.0", f);
    else if (isfinite(v))
        fprintf(f, "%.*g", digits, v);
    else
        fputs("null", f);
}

static void put_floats(FILE *f, const tw_tensor *t)
{
    const unsigned char *p = t->data;
    const bool half = t->dtype == TW_F16;
    putc('[', f);
    for (int64_t i = 0; i < t->dim[0]; i++, p += half ? 2 : 4) { /* not aligned inside a record */
        float v;
        if (half)
            tw_halves_to_floats(&v, p, 1);
        else
            memcpy(&v, p, sizeof v);
        fputs(i != 0 ? ", " : "", f);
        put_number(f, (double)v, half ? 5 : 9);
    }
    putc(']', f);
}

/* If the map at *c is a float vector or an image, prints it and steps over it. Whether it was. */
static bool put_tensor(FILE *f, tw_cursor *c)
{
    tw_tensor t;
    tw_cursor at = *c;
    if (tw_field_vector(&t, &at, "") == 0) {
        put_floats(f, &t);
    } else {
        at = *c;
        if (tw_field_image(&t, &at, "") != 0)
            return false;
        fprintf(f, "{\"type\": \"|u1\", \"shape\": [%" PRId64 ", %" PRId64 ", 3]}", t.dim[0], t.dim[1]);
    }
    *c = at;
    return true;
}

static int put_value(FILE *f, tw_cursor *c);

static int put_list(FILE *f, tw_cursor *c, size_t n)
{
    putc('[', f);
    for (size_t i = 0; i < n; i++) {
        fputs(i != 0 ? ", " : "", f);
        if (put_value(f, c) != 0)
            return -1;
    }
    putc(']', f);
    return 0;
}

static int put_key(FILE *f, tw_cursor *c)
{
    tw_msg m;
    const unsigned char *payload;
    if (tw_cursor_next(c, &m, &payload) != 0)
        return -1;
    if (m.type == TW_MSG_STR || m.type == TW_MSG_BIN)
        put_text(f, payload, m.n);
    else
        fprintf(f, m.type == TW_MSG_UINT ? "\"%" PRIu64 "\"" : "\"%" PRId64 "\"", m.u);
    return 0;
}

/* crc: whether a key "crc" is printed. */
static int put_map(FILE *f, tw_cursor *c, size_t n, bool crc)
{
    const char *comma = "";
    putc('{', f);
    for (size_t i = 0; i < n; i++) {
        tw_msg m;
        const unsigned char *payload;
        tw_cursor ahead = *c;
        if (!crc && tw_cursor_next(&ahead, &m, &payload) == 0 && tw_msg_is(&m, payload, "crc")) {
            if (tw_cursor_skip(&ahead) != 0)
                return -1;
            *c = ahead;
            continue;
        }
        fputs(comma, f);
        comma = ", ";
        if (put_key(f, c) != 0)
            return -1;
        fputs(": ", f);
        if (put_value(f, c) != 0)
            return -1;
    }
    putc('}', f);
    return 0;
}

/* Recursive; the scanner has bounded the depth. */
static int put_value(FILE *f, tw_cursor *c)
{
    tw_msg m;
    const unsigned char *payload;
    const tw_cursor start = *c;
    if (tw_cursor_next(c, &m, &payload) != 0)
        return -1;
    switch (m.type) {
    case TW_MSG_NIL:
        fputs("null", f);
        return 0;
    case TW_MSG_BOOL:
        fputs(m.yes ? "true" : "false", f);
        return 0;
    case TW_MSG_INT:
        fprintf(f, "%" PRId64, m.i);
        return 0;
    case TW_MSG_UINT:
        fprintf(f, "%" PRIu64, m.u);
        return 0;
    case TW_MSG_FLOAT:
        put_number(f, m.f, 17);
        return 0;
    case TW_MSG_STR:
        put_text(f, payload, m.n);
        return 0;
    case TW_MSG_BIN:
    case TW_MSG_EXT:
        fprintf(f, "{\"bytes\": %zu}", m.n);
        return 0;
    case TW_MSG_ARRAY:
        return put_list(f, c, m.n);
    case TW_MSG_MAP:
        break;
    }
    *c = start;
    if (m.n >= 4 && put_tensor(f, c))
        return 0;
    *c = (tw_cursor){payload, start.end};
    return put_map(f, c, m.n, true);
}

int tw_json_record(FILE *f, const void *record, size_t size)
{
    tw_msg m;
    tw_cursor c = {record, (const unsigned char *)record + size};
    if (tw_cursor_next(&c, &m, NULL) != 0 || put_map(f, &c, m.n, false) != 0)
        return -1;
    putc('\n', f);
    return 0;
}
