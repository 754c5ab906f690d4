#include "image/decode.h"

#include "core/error.h"
#include "core/mem.h"
#include "image/codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int tw_image_check(int64_t w, int64_t h, const tw_decode_options *o)
{
    if (w < 1 || h < 1 || w > INT_MAX / 3 || h > INT_MAX || h > o->max_pixels / w)
        return tw_fail("%lld x %lld pixels, the limit is %lld in all", (long long)w, (long long)h, (long long)o->max_pixels);
    return 0;
}

static int reserve(uint8_t **data, size_t *cap, int w, int h)
{
    size_t size;
    if (!tw_mul(&size, (size_t)w * 3, (size_t)h))
        return tw_fail("%d x %d pixels do not fit in memory", w, h);
    if (size > *cap) { /* not realloc: the old contents need not be copied */
        free(*data);
        *data = NULL;
        *cap = 0;
    }
    return tw_reserve(data, cap, size, 1);
}

enum { MOST_PIXELS = ((1 << 30) - (1 << 20)) / 3 }; /* that fit a stream record, with 1 MiB for its other fields */

int tw_image_resize(tw_image *m, int64_t w, int64_t h, int more, const tw_decode_options *o)
{
    if (w > TW_MOST_SIDE || h > TW_MOST_SIDE || w * h > MOST_PIXELS)
        return tw_fail("%lld x %lld pixels: a side has at most %d, a picture %d", (long long)w, (long long)h, TW_MOST_SIDE, MOST_PIXELS);
    const int each = 3 + (o->exif_rotate ? 3 : 0) + more;
    if (o->claim != NULL)
        o->claim(o->context, (size_t)w * (size_t)h * (size_t)each);
    if (reserve(&m->data, &m->cap, (int)w, (int)h) != 0)
        return -1;
    m->w = (int)w;
    m->h = (int)h;
    return 0;
}

int tw_image_orient(tw_image *m, int orientation)
{
    const bool turned = orientation >= 5;
    const int w = turned ? m->h : m->w, h = turned ? m->w : m->h;
    if (reserve(&m->spare, &m->spare_cap, w, h) != 0)
        return -1;
    const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    uint8_t *to = m->spare;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, to += 3) {
            const int u = turned ? y : x, v = turned ? x : y; /* position in the source before mirroring */
            const int sx = mirror_x ? m->w - 1 - u : u, sy = mirror_y ? m->h - 1 - v : v;
            memcpy(to, m->data + ((size_t)sy * (size_t)m->w + (size_t)sx) * 3, 3);
        }
    *m = (tw_image){m->spare, m->spare_cap, w, h, m->data, m->cap};
    return 0;
}

/* Formats by their first bytes. decode NULL: not supported, listed for a better error message. */
static const struct format {
    const char *magic;
    size_t size, offset;
    const char *name;
    int (*decode)(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
} formats[] = {
    {"\xff\xd8\xff", 3, 0, "JPEG", tw_jpeg_decode},
    {"\x89PNG\r\n\x1a\n", 8, 0, "PNG", tw_png_decode},
    {"WEBP", 4, 8, "WebP", tw_webp_decode},
    {"GIF87a", 6, 0, "GIF", tw_gif_decode},
    {"GIF89a", 6, 0, "GIF", tw_gif_decode},
    {"BM", 2, 0, "BMP", tw_bmp_decode},
    {"II*\0", 4, 0, "TIFF", tw_tiff_decode},
    {"MM\0*", 4, 0, "TIFF", tw_tiff_decode},
    {"II+\0", 4, 0, "BigTIFF", tw_tiff_decode},
    {"MM\0+", 4, 0, "BigTIFF", tw_tiff_decode},
    {"ftyp", 4, 4, "AVIF, HEIC or video", NULL},
    {"\0\0\0\14jP", 6, 0, "JPEG 2000", NULL},
    {"\xff\x0a", 2, 0, "JPEG XL", NULL},
};
static const struct format pnm = {"P", 1, 0, "PNM", tw_pnm_decode};

static const struct format *find_format(const uint8_t *b, size_t n)
{
    if (n >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' && (b[2] == '#' || strchr(" \t\n\v\f\r", b[2]) != NULL) && b[2] != '\0')
        return &pnm;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (n >= formats[i].offset + formats[i].size && memcmp(b + formats[i].offset, formats[i].magic, formats[i].size) == 0)
            return &formats[i];
    return NULL;
}

int tw_image_decode(tw_image *out, const void *bytes, size_t n, const tw_decode_options *o)
{
    const struct format *f = find_format(bytes, n);
    if (n == 0)
        return tw_fail("empty file");
    if (f == NULL)
        return tw_fail("not a picture: none of JPEG, PNG, WebP, GIF, BMP, PNM, TIFF");
    if (f->decode == NULL)
        return tw_fail("%s is not supported; JPEG, PNG, WebP, GIF, BMP, PNM and TIFF are", f->name);
    errno = 0;
    if (f->decode(out, bytes, n, o) != 0)
        return errno == ENOMEM ? tw_fail_errno("cannot be decoded") : -1; /* which the libraries call this and that, damage too */
    const int orientation = o->exif_rotate ? tw_exif_orientation(bytes, n) : 1;
    return orientation > 1 ? tw_image_orient(out, orientation) : 0;
}

void tw_image_fini(tw_image *m)
{
    free(m->data);
    free(m->spare);
    *m = (tw_image){0};
}
