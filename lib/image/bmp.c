/* Windows bitmaps, as Pillow's BmpImagePlugin reads them: 1, 4 and 8 bits with a palette (4 and 8 also run-length coded); 16, 24 and 32
 * bits, with the usual masks. Alpha is dropped. */
#include "image/codec.h"

#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum { RAW, RLE8, RLE4, BITFIELDS };

typedef struct {
    const uint8_t *at, *end; /* the pixels */
    int bits, compression;
    int64_t w, h;
    bool down;               /* rows from the top */
    uint8_t palette[256][3]; /* RGB; entries missing in the file are black */
    int shift[3];            /* 24 and 32 bits: bit offsets of red, green and blue */
    bool green6;             /* 16 bits: 5-6-5 */
} bitmap;

static uint32_t u16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static int read_masks(bitmap *m, const uint8_t *mask)
{
    static const struct {
        int bits;
        uint32_t red, green, blue;
        int shift[3];
    } known[] = {
        {32, 0xff0000, 0xff00, 0xff, {16, 8, 0}},   {32, 0xff000000, 0xff0000, 0xff00, {24, 16, 8}},
        {32, 0xff000000, 0xff00, 0xff, {24, 8, 0}}, {32, 0xff, 0xff00, 0xff0000, {0, 8, 16}},
        {32, 0, 0, 0, {16, 8, 0}},                  {24, 0xff0000, 0xff00, 0xff, {16, 8, 0}},
        {16, 0xf800, 0x7e0, 0x1f, {0}},             {16, 0x7c00, 0x3e0, 0x1f, {0}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (m->bits == known[i].bits && u32(mask) == known[i].red && u32(mask + 4) == known[i].green && u32(mask + 8) == known[i].blue) {
            memcpy(m->shift, known[i].shift, sizeof m->shift);
            m->green6 = known[i].green == 0x7e0;
            return 0;
        }
    return tw_fail("bad BMP: %d bits with masks that are not supported", m->bits);
}

/* Reads up to `colours` palette entries, as many as the file has. */
static void read_palette(bitmap *m, const uint8_t *p, size_t left, size_t entry, size_t colours)
{
    for (size_t i = 0; i < colours && i < 256 && (i + 1) * entry <= left; i++)
        for (int c = 0; c < 3; c++)
            m->palette[i][c] = p[i * entry + 2 - (size_t)c];
}

static int read_head(bitmap *m, const uint8_t *b, size_t n)
{
    const size_t size = n >= 26 ? u32(b + 14) : 0;
    size_t colours = 0, at = n >= 14 ? u32(b + 10) : 0;
    const bool old = size == 12;
    if (!old && size != 40 && size != 52 && size != 56 && size != 64 && size != 108 && size != 124)
        return tw_fail("bad BMP: a header of %zu bytes", size);
    if (n < 14 + size)
        return tw_fail("bad BMP: truncated inside its header");
    const uint8_t *h = b + 14;
    m->w = old ? u16(h + 4) : u32(h + 4);
    m->h = old ? u16(h + 6) : u32(h + 8);
    m->bits = (int)u16(h + (old ? 10 : 14));
    m->compression = old ? RAW : (int)(u32(h + 16) & 0x7fffffff);
    m->down = !old && h[11] == 0xff;
    if (m->down)
        m->h = ((int64_t)1 << 32) - m->h;
    if (!old)
        colours = u32(h + 32);
    if (m->bits != 1 && m->bits != 4 && m->bits != 8 && m->bits != 16 && m->bits != 24 && m->bits != 32)
        return tw_fail("bad BMP: %d bits a pixel", m->bits);
    if (m->compression > BITFIELDS)
        return tw_fail("bad BMP: compression %d", m->compression);
    size_t after = 14 + size; /* of the header */
    memcpy(m->shift, (int[]){16, 8, 0}, sizeof m->shift);
    if (m->compression == BITFIELDS) {
        if (n < 14 + 40 + 12)
            return tw_fail("bad BMP: truncated inside its header");
        if (read_masks(m, h + 40) != 0)
            return -1;
        after += size == 40 ? 12 : 0;
    }
    if (m->bits <= 8) {
        const size_t entry = old ? 3 : 4;
        colours = colours != 0 ? colours : (size_t)1 << m->bits;
        if (colours > 65536)
            return tw_fail("bad BMP: a palette of %zu colours", colours);
        read_palette(m, b + after, n - after, entry, colours);
        at = at == after ? after + entry * colours : at; /* some writers do not count their palette in the offset */
        after += entry * colours;
    }
    at = at != 0 ? at : after;
    if (at > n)
        return tw_fail("bad BMP: the file is truncated");
    m->at = b + at;
    m->end = b + n;
    return 0;
}

static uint8_t *row_of(tw_image *out, const bitmap *m, int64_t y)
{
    return out->data + (size_t)(m->down ? y : m->h - 1 - y) * (size_t)m->w * 3;
}

static void read_row(uint8_t *to, const uint8_t *row, const bitmap *m)
{
    for (int64_t x = 0; x < m->w; x++, to += 3) {
        if (m->bits <= 8) {
            const int64_t bit = x * m->bits;
            const int index = row[bit >> 3] >> (8 - m->bits - (int)(bit & 7)) & ((1 << m->bits) - 1);
            memcpy(to, m->palette[index], 3);
        } else if (m->bits == 16) {
            const uint32_t v = u16(row + 2 * x), green = m->green6 ? 63 : 31;
            to[0] = (uint8_t)((v >> (m->green6 ? 11 : 10) & 31) * 255 / 31);
            to[1] = (uint8_t)((v >> 5 & green) * 255 / green);
            to[2] = (uint8_t)((v & 31) * 255 / 31);
        } else {
            const uint8_t *p = row + x * (m->bits / 8);
            for (int c = 0; c < 3; c++)
                to[c] = p[m->shift[c] / 8];
        }
    }
}

/* Returns the number of rows read. */
static int64_t read_rows(tw_image *out, const bitmap *m)
{
    const size_t stride = ((size_t)m->w * (size_t)m->bits + 31) / 32 * 4;
    const uint8_t *p = m->at;
    int64_t y = 0;
    for (; y < m->h && (size_t)(m->end - p) >= stride; y++, p += stride)
        read_row(row_of(out, m, y), p, m);
    /* the padding of the last row may be missing */
    if (y == m->h - 1 && (size_t)(m->end - p) >= ((size_t)m->w * (size_t)m->bits + 7) / 8)
        read_row(row_of(out, m, y++), p, m);
    return y;
}

/* State of the run-length decoder: pixels are written in sequence, in the file's row order. */
typedef struct {
    tw_image *out;
    const bitmap *m;
    int64_t done, all; /* pixels */
    int64_t x;
} runs;

static void put(runs *r, int index)
{
    if (r->done < r->all) {
        memcpy(row_of(r->out, r->m, r->done / r->m->w) + r->done % r->m->w * 3, r->m->palette[index], 3);
        r->done++;
    }
}

static void put_run(runs *r, int n, int value, bool four)
{
    if (r->x + n > r->m->w)
        n = r->x < r->m->w ? (int)(r->m->w - r->x) : 0;
    for (int i = 0; i < n; i++)
        put(r, !four ? value : i % 2 == 0 ? value >> 4 : value & 15);
    r->x += n;
}

/* Absolute mode: n uncompressed pixels, padded to a 16-bit boundary. False if the file ends before. */
static bool put_plain(runs *r, const uint8_t **p, int n, bool four)
{
    const int64_t left = r->all - r->done;
    const int count = n < left ? n : (int)left, bytes = four ? (count + 1) / 2 : count;
    if (r->m->end - *p < bytes)
        return false;
    for (int i = 0; i < count; i++)
        put(r, !four ? (*p)[i] : i % 2 == 0 ? (*p)[i / 2] >> 4 : (*p)[i / 2] & 15);
    *p += bytes;
    r->x += n;
    return true;
}

static int64_t read_runs(tw_image *out, const bitmap *m, const uint8_t *file)
{
    const bool four = m->compression == RLE4;
    runs r = {out, m, 0, m->w * m->h, 0};
    for (const uint8_t *p = m->at; r.done < r.all && m->end - p >= 2;) {
        const int n = *p++, value = *p++;
        if (n > 0) {
            put_run(&r, n, value, four);
        } else if (value == 0) { /* end of line */
            while (r.done % m->w != 0)
                put(&r, 0);
            r.x = 0;
        } else if (value == 1) { /* end of bitmap */
            break;
        } else if (value == 2) { /* delta: move right and forward */
            if (m->end - p < 2)
                break;
            for (int64_t i = p[0] + p[1] * m->w; i > 0 && r.done < r.all; i--)
                put(&r, 0);
            p += 2;
            r.x = r.done % m->w;
        } else {
            if (!put_plain(&r, &p, value, four))
                break;
            p += (p - file) % 2 != 0 && p < m->end;
        }
    }
    return r.done / m->w;
}

int tw_bmp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    bitmap m = {0};
    if (read_head(&m, bytes, n) != 0 || tw_image_check(m.w, m.h, o) != 0)
        return -1;
    const bool coded = m.compression == RLE8 || m.compression == RLE4;
    if (coded && m.bits != (m.compression == RLE8 ? 8 : 4))
        return tw_fail("bad BMP: run lengths of %d bits", m.bits);
    const uint64_t wanted = (uint64_t)(m.h - 1) * (((uint64_t)m.w * (uint64_t)m.bits + 31) / 32 * 4);
    if (!coded && !o->keep_truncated && wanted > (uint64_t)(m.end - m.at))
        return tw_fail("bad BMP: the file is truncated");
    if (tw_image_resize(out, m.w, m.h, 0, o) != 0)
        return -1;
    memset(out->data, 0, (size_t)m.w * (size_t)m.h * 3);
    const int64_t rows = coded ? read_runs(out, &m, bytes) : read_rows(out, &m);
    return rows == m.h || (o->keep_truncated && rows > 0) ? 0 : tw_fail("bad BMP: the file is truncated");
}
