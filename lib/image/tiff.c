/* The first picture of a TIFF or BigTIFF, through libtiff, in any compression that it was built with. What Pillow opens (TiffImagePlugin's OPEN_INFO)
 * gets Pillow's pixels, turned upright too, as Pillow does with these; only the colours of YCbCr without JPEG are libtiff's, whose last digit differs
 * from Pillow's where the file is not compressed. */
#include "image/codec.h"

#include "core/error.h"
#include "core/mem.h"
#include "image/tiff.h"

#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

typedef struct {
    const uint8_t *bytes;
    size_t n, at;
    char text[256]; /* libtiff's first error */
} source;

static tmsize_t on_read(thandle_t of, void *to, tmsize_t n)
{
    source *s = of;
    if (n < 0 || s->at >= s->n)
        return 0;
    const size_t left = s->n - s->at, took = (size_t)n < left ? (size_t)n : left;
    memcpy(to, s->bytes + s->at, took);
    s->at += took;
    return (tmsize_t)took;
}

static tmsize_t on_write(thandle_t of, void *from, tmsize_t n)
{
    (void)of, (void)from, (void)n;
    return 0;
}

static toff_t on_seek(thandle_t of, toff_t to, int whence)
{
    source *s = of;
    s->at = (size_t)(whence == SEEK_SET ? to : whence == SEEK_CUR ? s->at + to : s->n + to);
    return s->at;
}

static int on_close(thandle_t of)
{
    (void)of;
    return 0;
}

static toff_t on_size(thandle_t of)
{
    return ((source *)of)->n;
}

static int on_map(thandle_t of, void **base, toff_t *size)
{
    source *s = of;
    *base = (void *)s->bytes; /* only read */
    *size = s->n;
    return 1;
}

static void on_unmap(thandle_t of, void *base, toff_t size)
{
    (void)of, (void)base, (void)size;
}

static int on_error(TIFF *t, void *of, const char *module, const char *format, va_list arguments)
{
    source *s = of;
    (void)t, (void)module;
    if (s->text[0] == '\0')
        vsnprintf(s->text, sizeof s->text, format, arguments);
    return 1;
}

/* libtiff warns of tags that it does not know, which many good files have. */
static int on_warning(TIFF *t, void *of, const char *module, const char *format, va_list arguments)
{
    (void)t, (void)of, (void)module, (void)format, (void)arguments;
    return 1;
}

enum { MOST_TABLES = 256 << 20 }; /* bytes of a single table of libtiff's, such as the places of all strips */

static TIFF *open_bytes(source *s)
{
    TIFFOpenOptions *how = TIFFOpenOptionsAlloc();
    if (how == NULL)
        return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(how, on_error, s);
    TIFFOpenOptionsSetWarningHandlerExtR(how, on_warning, NULL);
    TIFFOpenOptionsSetMaxSingleMemAlloc(how, MOST_TABLES);
    TIFF *t = TIFFClientOpenExt("", "r", s, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, how);
    TIFFOpenOptionsFree(how);
    return t;
}

static int fail(const source *s)
{
    return tw_fail("bad TIFF: %s", s->text[0] != '\0' ? s->text : "it cannot be read");
}

/* A picture that is read in blocks: strips, each as wide as the picture, or tiles. */
typedef struct {
    TIFF *tiff;
    uint32_t w, h, block_w, block_h;
    size_t block_bytes, row_bytes; /* of a block, of its rows; with planes, of one plane's */
    int planes;                    /* blocks that each hold one sample of their pixels; 1: blocks of whole pixels */
    tw_tiff_rgb rgb;
} picture;

static uint16_t tag16(TIFF *t, uint32_t tag, uint16_t missing)
{
    uint16_t v;
    return TIFFGetFieldDefaulted(t, tag, &v) == 1 ? v : missing;
}

static int read_kind(picture *p)
{
    tw_tiff_kind k = {.photometric = tag16(p->tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE), .bits = tag16(p->tiff, TIFFTAG_BITSPERSAMPLE, 1),
                      .format = tag16(p->tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT), .samples = tag16(p->tiff, TIFFTAG_SAMPLESPERPIXEL, 1)};
    uint16_t extra = 0, *kinds = NULL, *red, *green, *blue;
    if (TIFFGetField(p->tiff, TIFFTAG_EXTRASAMPLES, &extra, &kinds) == 1 && extra > 0 && kinds == NULL)
        return tw_fail("out of memory");
    k.premultiplied = extra > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA && k.samples > 3;
    if (k.photometric == PHOTOMETRIC_PALETTE && k.bits <= 8 && TIFFGetField(p->tiff, TIFFTAG_COLORMAP, &red, &green, &blue) == 1)
        memcpy(k.colours, (const uint16_t *[]){red, green, blue}, sizeof k.colours);
    if (k.photometric == PHOTOMETRIC_YCBCR) /* by the JPEG decoder */
        k.photometric = PHOTOMETRIC_RGB;
    if (!tw_tiff_rgb_init(&p->rgb, &k))
        return tw_fail("TIFF of %d samples of %d bits, photometric interpretation %d, sample format %d: not supported", k.samples, k.bits,
                       k.photometric, k.format);
    p->planes = k.samples > 1 && tag16(p->tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE ? k.samples : 1;
    return 0;
}

enum { MOST_EACH = 1 << 24 }; /* bytes of a block (of each plane) per pixel of the picture: only tiles may be larger than the picture */

/* Finds the size of the blocks; *more: bytes per pixel of the picture that a block (of each plane) takes. */
static int read_layout(picture *p, const source *s, int *more, const tw_decode_options *o)
{
    const bool tiles = TIFFIsTiled(p->tiff) != 0;
    p->block_w = p->w;
    if (tiles && (TIFFGetField(p->tiff, TIFFTAG_TILEWIDTH, &p->block_w) != 1 || TIFFGetField(p->tiff, TIFFTAG_TILELENGTH, &p->block_h) != 1))
        return fail(s);
    if (!tiles)
        TIFFGetFieldDefaulted(p->tiff, TIFFTAG_ROWSPERSTRIP, &p->block_h);
    if (!tiles && p->block_h > p->h)
        p->block_h = p->h;
    if (p->block_w == 0 || p->block_h == 0 || p->block_h > o->max_pixels / p->block_w)
        return tw_fail("bad TIFF: tiles of %u x %u pixels", p->block_w, p->block_h);
    const tmsize_t block = tiles ? TIFFTileSize(p->tiff) : TIFFStripSize(p->tiff), row = tiles ? TIFFTileRowSize(p->tiff) : TIFFScanlineSize(p->tiff);
    const size_t samples = p->planes == 1 ? p->rgb.kind.samples : 1;
    if (block <= 0 || row <= 0 || (size_t)row < ((size_t)p->block_w * samples * p->rgb.kind.bits + 7) / 8 || block / row < (tmsize_t)p->block_h)
        return fail(s);
    p->block_bytes = (size_t)block;
    p->row_bytes = (size_t)row;
    const size_t each = (p->block_bytes * (size_t)p->planes + (size_t)p->w * p->h - 1) / ((size_t)p->w * p->h);
    if (each > MOST_EACH)
        return tw_fail("bad TIFF: tiles of %u x %u pixels for %u x %u", p->block_w, p->block_h, p->w, p->h);
    *more = (int)each;
    return 0;
}

/* Reads the block at x, y, one after the other of its planes. */
static bool read_block(const picture *p, uint8_t *block, uint32_t x, uint32_t y)
{
    for (int s = 0; s < p->planes; s++) {
        uint8_t *to = block + (size_t)s * p->block_bytes;
        const tmsize_t got = TIFFIsTiled(p->tiff)
                                 ? TIFFReadEncodedTile(p->tiff, TIFFComputeTile(p->tiff, x, y, 0, (uint16_t)s), to, (tmsize_t)p->block_bytes)
                                 : TIFFReadEncodedStrip(p->tiff, TIFFComputeStrip(p->tiff, y, (uint16_t)s), to, (tmsize_t)p->block_bytes);
        if (got < 0)
            return false;
    }
    return true;
}

static void convert_block(const picture *p, tw_image *out, const uint8_t *block, uint32_t x, uint32_t y)
{
    const uint32_t w = p->w - x < p->block_w ? p->w - x : p->block_w, h = p->h - y < p->block_h ? p->h - y : p->block_h;
    const size_t plane = p->planes == 1 ? 1 : p->block_bytes * 8 / p->rgb.kind.bits;
    for (uint32_t r = 0; r < h; r++) {
        const tw_tiff_row row = {block + r * p->row_bytes, p->planes == 1 ? p->rgb.kind.samples : 1, plane};
        p->rgb.convert(&p->rgb, out->data + ((size_t)(y + r) * p->w + x) * 3, row, (int)w);
    }
}

/* Under keep_truncated blocks that cannot be read stay black, if there is one that can. */
static int read_blocks(const picture *p, const source *s, tw_image *out, const tw_decode_options *o)
{
    bool any = false;
    uint8_t *block = tw_calloc(p->block_bytes, (size_t)p->planes);
    if (block == NULL)
        return -1;
    memset(out->data, 0, (size_t)p->w * p->h * 3);
    for (uint32_t y = 0; y < p->h; y += p->block_h)
        for (uint32_t x = 0; x < p->w; x += p->block_w) {
            if (read_block(p, block, x, y)) {
                convert_block(p, out, block, x, y);
                any = true;
            } else if (!o->keep_truncated) {
                free(block);
                return fail(s);
            }
        }
    free(block);
    return any ? 0 : fail(s);
}

/* YCbCr without JPEG, and JPEG as TIFF 6.0 first had it: libtiff makes RGB. */
static int read_ycbcr(const picture *p, source *s, tw_image *out, const tw_decode_options *o)
{
    TIFFRGBAImage image;
    char text[1024] = "";
    uint32_t *raster = tw_calloc((size_t)p->w * p->h, sizeof *raster);
    if (raster == NULL)
        return -1;
    int rc = TIFFRGBAImageBegin(&image, p->tiff, !o->keep_truncated, text);
    if (rc == 1) {
        image.req_orientation = image.orientation; /* rows as they are */
        rc = TIFFRGBAImageGet(&image, raster, p->w, p->h);
        TIFFRGBAImageEnd(&image);
    } else if (s->text[0] == '\0') {
        snprintf(s->text, sizeof s->text, "%.255s", text);
    }
    for (size_t i = 0; rc == 1 && i < (size_t)p->w * p->h; i++)
        memcpy(out->data + 3 * i, (uint8_t[]){TIFFGetR(raster[i]), TIFFGetG(raster[i]), TIFFGetB(raster[i])}, 3);
    free(raster);
    return rc == 1 ? 0 : fail(s);
}

static int decode(picture *p, source *s, tw_image *out, const tw_decode_options *o)
{
    const uint16_t compression = tag16(p->tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE), orientation = tag16(p->tiff, TIFFTAG_ORIENTATION, 1);
    const bool ycbcr = compression == COMPRESSION_OJPEG || tag16(p->tiff, TIFFTAG_PHOTOMETRIC, 0) == PHOTOMETRIC_YCBCR;
    const bool jpeg = compression == COMPRESSION_JPEG && tag16(p->tiff, TIFFTAG_PLANARCONFIG, 1) == PLANARCONFIG_CONTIG;
    int more = sizeof(uint32_t);
    if (TIFFGetField(p->tiff, TIFFTAG_IMAGEWIDTH, &p->w) != 1 || TIFFGetField(p->tiff, TIFFTAG_IMAGELENGTH, &p->h) != 1)
        return fail(s);
    if (tw_image_check(p->w, p->h, o) != 0)
        return -1;
    if (ycbcr && jpeg)
        TIFFSetField(p->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    const bool own = !ycbcr || jpeg;
    if (own && (read_kind(p) != 0 || read_layout(p, s, &more, o) != 0))
        return -1;
    if (tw_image_resize(out, p->w, p->h, more + (orientation > 1 && !o->exif_rotate ? 3 : 0), o) != 0)
        return -1;
    if ((own ? read_blocks(p, s, out, o) : read_ycbcr(p, s, out, o)) != 0)
        return -1;
    return orientation > 1 ? tw_image_orient(out, orientation) : 0;
}

int tw_tiff_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    source s = {.bytes = bytes, .n = n};
    picture p = {.tiff = open_bytes(&s)};
    if (p.tiff == NULL)
        return fail(&s);
    const int rc = decode(&p, &s, out, o);
    TIFFClose(p.tiff);
    return rc;
}
