/* PBM, PGM and PPM, plain and binary (P1 to P6, netpbm.sourceforge.net/doc), scaled as Pillow's PpmImagePlugin does: to 255, but grey of
 * more than 8 bits to 65535, whose values above 255 then become 255. */
#include "image/codec.h"

#include "core/error.h"

#include <math.h>
#include <string.h>

typedef struct {
    const uint8_t *at, *end;
} text;

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Skips white space and comments. False at the end. */
static bool skip_space(text *t)
{
    for (; t->at < t->end; t->at++) {
        if (*t->at == '#')
            while (t->at < t->end && *t->at != '\n' && *t->at != '\r')
                t->at++;
        else if (!is_space(*t->at))
            return true;
    }
    return false;
}

/* Reads the next integer, of at most 9 digits; -1: none. */
static int64_t number(text *t)
{
    int64_t v = 0;
    int digits = 0;
    if (!skip_space(t))
        return -1;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9' && digits < 9; t->at++, digits++)
        v = v * 10 + (*t->at - '0');
    return digits > 0 && (t->at == t->end || is_space(*t->at) || *t->at == '#') ? v : -1;
}

/* Scales a value; Python's round() breaks ties to even, as nearbyint. */
static uint8_t scaled(int64_t v, int64_t top, bool grey)
{
    const double full = grey && top > 255 ? 65535 : 255, x = nearbyint((double)v / (double)top * full);
    return (uint8_t)(x > 255 ? 255 : x);
}

/* Reads the next value of a plain file; the digits of a bitmap need no separators. -1: none, or too large. */
static int64_t plain_value(text *t, bool bitmap, int64_t top)
{
    if (bitmap) {
        if (!skip_space(t) || (*t->at != '0' && *t->at != '1'))
            return -1;
        return *t->at++ - '0';
    }
    const int64_t v = number(t);
    return v <= top ? v : -1;
}

/* Reads the pixels of a plain file; returns their number. */
static size_t read_plain(uint8_t *to, text *t, size_t pixels, int channels, int64_t top, bool bitmap)
{
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < channels; c++) {
            const int64_t v = plain_value(t, bitmap, top);
            if (v < 0)
                return i;
            const uint8_t x = bitmap ? (v != 0 ? 0 : 255) : scaled(v, top, channels == 1);
            if (channels == 3)
                to[3 * i + (size_t)c] = x;
            else
                memset(to + 3 * i, x, 3);
        }
    return pixels;
}

static size_t read_binary(uint8_t *to, const text *t, size_t pixels, int channels, int64_t top)
{
    const size_t wide = top > 255 ? 2 : 1, size = wide * (size_t)channels, have = (size_t)(t->end - t->at) / size;
    const uint8_t *p = t->at;
    const size_t n = pixels < have ? pixels : have;
    if (channels == 3 && top == 255) {
        memcpy(to, p, 3 * n);
        return n;
    }
    uint8_t table[256];
    for (int v = 0; v < 256 && wide == 1; v++)
        table[v] = scaled(v, top, channels == 1);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < channels; c++, p += wide) {
            const uint8_t x = wide == 1 ? table[*p] : scaled(p[0] << 8 | p[1], top, channels == 1);
            if (channels == 3)
                to[3 * i + (size_t)c] = x;
            else
                memset(to + 3 * i, x, 3);
        }
    return n;
}

/* Reads the rows of a binary bitmap, eight pixels per byte, 1 is black; returns the number of pixels in complete rows. */
static size_t read_bits(uint8_t *to, const text *t, int w, int h)
{
    const size_t stride = ((size_t)w + 7) / 8, rows = (size_t)(t->end - t->at) / stride;
    int y = 0;
    for (; y < h && (size_t)y < rows; y++)
        for (int x = 0; x < w; x++, to += 3)
            memset(to, t->at[(size_t)y * stride + (size_t)x / 8] >> (7 - x % 8) & 1 ? 0 : 255, 3);
    return (size_t)y * (size_t)w;
}

int tw_pnm_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    text t = {bytes + 2, bytes + n};
    const int kind = bytes[1] - '0', channels = kind % 3 == 0 ? 3 : 1;
    const bool bitmap = kind % 3 == 1;
    const int64_t w = number(&t), h = number(&t), top = bitmap ? 1 : number(&t);
    if (w < 0 || h < 0 || top < 1 || top > 65535)
        return tw_fail("bad PNM: width, height and largest value are not in its header");
    if (tw_image_check(w, h, o) != 0)
        return -1;
    const size_t pixels = (size_t)w * (size_t)h;
    if (!o->keep_truncated && pixels / 8 > n) /* no format has more than eight pixels per byte */
        return tw_fail("bad PNM: the file is truncated");
    if (tw_image_resize(out, w, h, 0, o) != 0)
        return -1;
    memset(out->data, 0, 3 * pixels);
    size_t got;
    if (kind > 3 && t.at < t.end && !is_space(*t.at))
        return tw_fail("bad PNM: no white space between its header and its pixels");
    t.at += kind > 3 && t.at < t.end; /* the single white space character before binary data */
    if (kind <= 3)
        got = read_plain(out->data, &t, pixels, channels, top, bitmap);
    else if (bitmap)
        got = read_bits(out->data, &t, (int)w, (int)h);
    else
        got = read_binary(out->data, &t, pixels, channels, top);
    if (got == pixels || (o->keep_truncated && got > 0))
        return 0;
    return tw_fail("bad PNM: only %zu of its %zu pixels are present", got, pixels);
}
