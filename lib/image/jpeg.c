/* JPEG through libjpeg-turbo with its default settings, as Pillow uses it (JDCT_ISLOW, fancy upsampling). */
#include "image/codec.h"

#include "core/error.h"
#include "image/huffman.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>

#include <jpegint.h>

/* SHORTEST: in bytes; for a shorter scan, building the tables of huffman.h takes longer than the library's decoder. */
enum { MAX_SCANS = 100, ROWS = 16, SHORTEST = 4096 };
enum { GIVEN_UP = 1, IRREGULAR };
static const long max_memory = 512L << 20; /* bytes, without the coefficients of several scans, which --max-pixels bounds */

typedef struct {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    bool keep, started; /* started: rows may have been output, which are used under keep */
    tw_huffman huffman;
} decoder;

static void say(j_common_ptr c)
{
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    tw_fail("bad JPEG: %s", text);
}

static noreturn void give_up(j_common_ptr c)
{
    longjmp(((decoder *)c->client_data)->jump, GIVEN_UP);
}

static noreturn void on_error(j_common_ptr c)
{
    say(c);
    give_up(c);
}

/* A warning (level < 0) is treated as an error, damaged data: 80 % of all damage only shows as a warning. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0 && !((decoder *)c->client_data)->keep)
        on_error(c);
}

/* Called between rows and scans; limits the scans: a file with thousands of them would take minutes. */
static void on_progress(j_common_ptr c)
{
    if (((j_decompress_ptr)c)->input_scan_number > MAX_SCANS) {
        tw_fail("bad JPEG: more than %d scans", MAX_SCANS);
        give_up(c);
    }
}

static boolean decode_mcu(j_decompress_ptr c, JBLOCKROW *blocks)
{
    decoder *d = c->client_data;
    if (!tw_huffman_mcu(&d->huffman, c, blocks))
        longjmp(d->jump, IRREGULAR);
    return TRUE;
}

/* Converts one row of inverted ("Adobe") CMYK to RGB, as Pillow's CMYK;I. */
static void from_cmyk(uint8_t *rgb, const uint8_t *cmyk, int w)
{
    for (int x = 0; x < w; x++, cmyk += 4, rgb += 3) {
        for (int i = 0; i < 3; i++)
            rgb[i] = tw_from_ink(255 - cmyk[i], cmyk[3]);
    }
}

static unsigned denominator(const decoder *d, int shrink_to)
{
    const unsigned w = d->c.image_width, h = d->c.image_height, side = w < h ? w : h;
    unsigned denom = 1;
    while (shrink_to > 0 && denom < 8 && (side + 2 * denom - 1) / (2 * denom) >= (unsigned)shrink_to)
        denom *= 2;
    return denom;
}

/* Memory for coefficients in bytes per output pixel: with several scans, all coefficients of the file are kept, 2 bytes each. */
static int coefficients(const struct jpeg_decompress_struct *c)
{
    if (!jpeg_has_multiple_scans((j_decompress_ptr)c))
        return 0;
    int64_t blocks = 0; /* of 64 coefficients */
    for (int i = 0; i < c->num_components; i++)
        blocks += (int64_t)c->comp_info[i].width_in_blocks * c->comp_info[i].height_in_blocks;
    const int64_t pixels = (int64_t)c->output_width * c->output_height;
    return (int)((128 * blocks + pixels - 1) / pixels);
}

static void read_rows(decoder *d, tw_image *out)
{
    const size_t stride = (size_t)out->w * 3;
    while (d->c.output_scanline < d->c.output_height) {
        JSAMPROW rows[ROWS];
        const unsigned left = d->c.output_height - d->c.output_scanline;
        for (unsigned i = 0; i < ROWS && i < left; i++)
            rows[i] = out->data + (d->c.output_scanline + i) * stride;
        jpeg_read_scanlines(&d->c, rows, left < ROWS ? left : ROWS);
    }
}

static void read_cmyk_rows(decoder *d, tw_image *out)
{
    JSAMPARRAY row = d->c.mem->alloc_sarray((j_common_ptr)&d->c, JPOOL_IMAGE, (JDIMENSION)out->w * 4, 1);
    while (d->c.output_scanline < d->c.output_height) {
        uint8_t *to = out->data + (size_t)d->c.output_scanline * (size_t)out->w * 3;
        jpeg_read_scanlines(&d->c, row, 1);
        from_cmyk(to, row[0], out->w);
    }
}

/* Keeps the rows decoded so far and makes the others black; -1: there are none. */
static int keep_rows(const decoder *d, tw_image *out)
{
    const size_t rows = d->c.output_scanline, stride = (size_t)out->w * 3;
    memset(out->data + rows * stride, 0, ((size_t)out->h - rows) * stride);
    return rows > 0 ? 0 : -1;
}

/* All state is in the caller's *d, since longjmp makes changed local variables indeterminate. own: use huffman.h if possible. 0, -1, or
 * IRREGULAR: the file must be decoded again without own. */
static int decode(decoder *d, bool own, tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    const int jumped = setjmp(d->jump);
    if (jumped == IRREGULAR)
        return IRREGULAR;
    if (jumped != 0)
        return d->keep && d->started ? keep_rows(d, out) : -1;
    jpeg_create_decompress(&d->c);
    d->c.progress = &d->progress;
    d->c.mem->max_memory_to_use = max_memory;
    jpeg_mem_src(&d->c, bytes, (unsigned long)n);
    jpeg_read_header(&d->c, TRUE);
    if (tw_image_check(d->c.image_width, d->c.image_height, o) != 0)
        return -1;
    const int components = d->c.num_components;
    if (components != 1 && components != 3 && components != 4)
        return tw_fail("JPEG of %d components; 1, 3 and 4 are read", components);
    d->c.out_color_space = components == 4 ? JCS_CMYK : JCS_RGB;
    d->c.scale_num = 1;
    d->c.scale_denom = denominator(d, o->shrink_to);
    jpeg_calc_output_dimensions(&d->c);
    const int more = coefficients(&d->c);
    if (tw_image_resize(out, d->c.output_width, d->c.output_height, more, o) != 0)
        return -1;
    d->c.mem->max_memory_to_use += (long)d->c.output_width * (long)d->c.output_height * more;
    jpeg_start_decompress(&d->c);
    d->started = true;
    if (own && d->c.src->bytes_in_buffer >= SHORTEST && tw_huffman_start(&d->huffman, &d->c))
        d->c.entropy->decode_mcu = decode_mcu;
    if (components == 4)
        read_cmyk_rows(d, out);
    else
        read_rows(d, out);
    jpeg_finish_decompress(&d->c);
    return 0;
}

static int try(bool own, tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    decoder d;
    memset(&d, 0, offsetof(decoder, huffman)); /* huffman is large, and initialised where it is used */
    d.keep = o->keep_truncated;
    d.c.err = jpeg_std_error(&d.errors);
    d.c.client_data = &d; /* jpeg_create_decompress keeps both */
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.progress.progress_monitor = on_progress;
    const int rc = decode(&d, own, out, bytes, n, o);
    jpeg_destroy_decompress(&d.c);
    return rc;
}

int tw_jpeg_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    const int rc = try(true, out, bytes, n, o);
    if (rc != IRREGULAR)
        return rc;
    tw_decode_options claimed = *o;
    claimed.claim = NULL;
    return try(false, out, bytes, n, &claimed);
}
