/* PNG through libpng. Alpha and transparency are dropped, not blended, as Pillow's convert("RGB") does. */
#include "image/codec.h"

#include "core/error.h"

#include <errno.h>
#include <stdnoreturn.h>
#include <string.h>

#include <png.h>

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *at, *end;
    bool wide_grey; /* 16-bit grey, to be converted by widen_grey */
    bool started; /* pixels have been read: under keep_truncated the rest may be missing */
} decoder;

static noreturn void on_error(png_structp png, png_const_charp text)
{
    tw_fail("bad PNG: %s", text);
    png_longjmp(png, 1);
}

/* libpng warns about harmless things (colour profiles, times, texts) in many good files. */
static void on_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    decoder *d = png_get_io_ptr(png);
    if (n > (size_t)(d->end - d->at))
        png_error(png, "the file is truncated");
    memcpy(to, d->at, n);
    d->at += n;
}

/* Makes libpng convert to 8-bit RGB; except 16-bit grey (true), which Pillow converts differently. */
static bool set_transforms(decoder *d)
{
    const int depth = png_get_bit_depth(d->png, d->info), colour = png_get_color_type(d->png, d->info);
    const bool wide_grey = colour == PNG_COLOR_TYPE_GRAY && depth == 16;
    if (wide_grey)
        return true;
    if (colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(d->png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(d->png);
    png_set_strip_16(d->png); /* the high byte */
    png_set_strip_alpha(d->png);
    png_set_gray_to_rgb(d->png);
    return false;
}

/* Converts 16-bit grey (big-endian, two bytes per pixel, at the start of each row of the image) to RGB, in place from the end. Values above 255
 * become 255, as in Pillow's conversion of I;16. */
static void widen_grey(tw_image *m)
{
    for (int y = 0; y < m->h; y++) {
        uint8_t *row = m->data + (size_t)y * (size_t)m->w * 3;
        for (int x = m->w - 1; x >= 0; x--)
            memset(row + 3 * x, row[2 * x] != 0 ? 255 : row[2 * x + 1], 3);
    }
}

static int decode(decoder *d, tw_image *out, const tw_decode_options *o)
{
    if (setjmp(png_jmpbuf(d->png)) != 0)
        return -1;
    png_set_read_fn(d->png, d, on_read);
    png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* texts and profiles are not decompressed */
    if (o->keep_truncated) {
        png_set_compression_buffer_size(d->png, 64); /* read in small blocks, so that the last bytes of a truncated file are used too */
        png_set_crc_action(d->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    }
    png_read_info(d->png, d->info);
    const png_uint_32 w = png_get_image_width(d->png, d->info), h = png_get_image_height(d->png, d->info);
    if (tw_image_check(w, h, o) != 0)
        return -1;
    /* deflate expands at most 1032 times: a file too short for its pixels is refused before memory is allocated */
    if (!o->keep_truncated && h * (uint64_t)png_get_rowbytes(d->png, d->info) / 1032 > (uint64_t)(d->end - d->at))
        return tw_fail("bad PNG: the file is truncated");
    if (tw_image_resize(out, w, h, 0, o) != 0)
        return -1;
    memset(out->data, 0, (size_t)w * h * 3);
    d->wide_grey = set_transforms(d);
    const int passes = png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    d->started = true;
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < h; y++)
            png_read_row(d->png, out->data + (size_t)y * w * 3, NULL);
    png_read_end(d->png, NULL);
    return 0;
}

int tw_png_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    decoder d = {.at = bytes, .end = bytes + n};
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    if (d.png == NULL)
        return tw_fail("libpng cannot be started");
    d.info = png_create_info_struct(d.png);
    int rc = d.info == NULL ? tw_fail("out of memory") : decode(&d, out, o);
    if (rc != 0 && d.started && o->keep_truncated && errno != ENOMEM)
        rc = 0;
    if (rc == 0 && d.wide_grey)
        widen_grey(out);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    return rc;
}
