#include "image/decode.h"

#include "core/error.h"
#include "core/mem.h"
#include "image/codec.h"

#include <stdlib.h>
#include <string.h>

int tw_image_check(int64_t w, int64_t h, const tw_decode_options *o)
{
    if (w < 1 || h < 1 || h > o->max_pixels / w)
        return tw_fail("%lld x %lld pixels, the limit is %lld in all", (long long)w, (long long)h, (long long)o->max_pixels);
    return 0;
}

static int reserve(uint8_t **data, size_t *cap, int w, int h)
{
    size_t size;
    if (!tw_mul(&size, (size_t)w * 3, (size_t)h))
        return tw_fail("%d x %d pixels do not fit the memory", w, h);
    return tw_grow(data, cap, size, 1);
}

int tw_image_resize(tw_image *m, int w, int h)
{
    if (reserve(&m->data, &m->cap, w, h) != 0)
        return -1;
    m->w = w;
    m->h = h;
    return 0;
}

/* Turns the image upright: orientation 2..8 as Pillow's ImageOps.exif_transpose. */
static int orient(tw_image *m, int orientation)
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
            const int u = turned ? y : x, v = turned ? x : y; /* the place in the source before mirroring */
            const int sx = mirror_x ? m->w - 1 - u : u, sy = mirror_y ? m->h - 1 - v : v;
            memcpy(to, m->data + ((size_t)sy * (size_t)m->w + (size_t)sx) * 3, 3);
        }
    *m = (tw_image){m->spare, m->spare_cap, w, h, m->data, m->cap};
    return 0;
}

/* Formats that are known by their first bytes and not decoded here: a better message than "unknown". */
static const char *foreign(const uint8_t *b, size_t n)
{
    static const struct {
        const char *magic, *name;
        size_t offset, size;
    } known[] = {
        {"WEBP", "WebP", 8, 4}, {"GIF8", "GIF", 0, 4},      {"BM", "BMP", 0, 2},      {"II*\0", "TIFF", 0, 4},
        {"MM\0*", "TIFF", 0, 4}, {"ftyp", "AVIF, HEIC or video", 4, 4}, {"\0\0\0\14jP", "JPEG 2000", 0, 6},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= known[i].offset + known[i].size && memcmp(b + known[i].offset, known[i].magic, known[i].size) == 0)
            return known[i].name;
    return NULL;
}

int tw_image_decode(tw_image *out, const void *bytes, size_t n, const tw_decode_options *o)
{
    const uint8_t *b = bytes;
    int rc;
    if (n == 0)
        return tw_fail("empty file");
    if (n >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0)
        rc = tw_jpeg_decode(out, b, n, o);
    else if (n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
        rc = tw_png_decode(out, b, n, o);
    else if (foreign(b, n) != NULL)
        return tw_fail("%s, which is not read; JPEG and PNG are", foreign(b, n));
    else
        return tw_fail("neither JPEG nor PNG");
    if (rc != 0 || !o->exif_rotate)
        return rc;
    const int orientation = tw_exif_orientation(b, n);
    return orientation > 1 ? orient(out, orientation) : 0;
}

void tw_image_fini(tw_image *m)
{
    free(m->data);
    free(m->spare);
    *m = (tw_image){0};
}
