/* Goal: whatever bytes a JPEG is made of, if our decoder of its codes finds all of it regular, then libjpeg-turbo's makes the same pixels,
 * and with no more warnings; and ours neither reads nor writes where it must not. */
#include "image/huffman.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpegint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

enum { MAX_PIXELS = 1 << 16 };
enum { DONE, REFUSED, IRREGULAR, NOT_TAKEN };

typedef struct {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    jmp_buf jump;
    tw_huffman huffman;
    uint8_t *pixels;
    size_t size, done; /* bytes; of the rows that were there before it was refused */
} decoded;

static void on_error(j_common_ptr c)
{
    longjmp(((decoded *)c->client_data)->jump, REFUSED);
}

static void on_message(j_common_ptr c, int level)
{
    c->err->num_warnings += level < 0;
}

static boolean own_mcu(j_decompress_ptr c, JBLOCKROW *blocks)
{
    decoded *d = c->client_data;
    if (!tw_huffman_mcu(&d->huffman, c, blocks))
        longjmp(d->jump, IRREGULAR);
    return TRUE;
}

static int read_all(decoded *d, const uint8_t *data, size_t n, unsigned shrink, bool own)
{
    const int jumped = setjmp(d->jump);
    if (jumped != 0)
        return jumped;
    jpeg_create_decompress(&d->c);
    jpeg_mem_src(&d->c, data, n);
    jpeg_read_header(&d->c, TRUE);
    if ((uint64_t)d->c.image_width * d->c.image_height > MAX_PIXELS)
        return REFUSED;
    if (d->c.num_components == 1)
        d->c.out_color_space = JCS_RGB;
    d->c.scale_denom = shrink;
    jpeg_start_decompress(&d->c);
    if (own && !tw_huffman_start(&d->huffman, &d->c))
        return NOT_TAKEN;
    if (own)
        d->c.entropy->decode_mcu = own_mcu;
    const size_t stride = (size_t)d->c.output_width * (size_t)d->c.output_components;
    d->size = stride * d->c.output_height;
    d->pixels = malloc(d->size);
    MUST(d->pixels != NULL);
    while (d->c.output_scanline < d->c.output_height) {
        JSAMPROW row = d->pixels + d->c.output_scanline * stride;
        jpeg_read_scanlines(&d->c, &row, 1);
    }
    jpeg_finish_decompress(&d->c);
    return DONE;
}

/* Decodes into *d, whose pixels are to be freed, the codes by our decoder or by the library's. */
static int decode(decoded *d, const uint8_t *data, size_t n, unsigned shrink, bool own)
{
    memset(d, 0, sizeof *d);
    d->c.err = jpeg_std_error(&d->errors);
    d->c.client_data = d;
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    const int how = read_all(d, data, n, shrink, own);
    d->done = d->pixels != NULL ? (size_t)d->c.output_scanline * d->c.output_width * (size_t)d->c.output_components : 0;
    jpeg_destroy_decompress(&d->c);
    return how;
}

/* What ours made of it. */
static int compare(const uint8_t *data, size_t size, unsigned shrink)
{
    static decoded own, library;
    const int how = decode(&own, data, size, shrink, true);
    if (how == DONE) {
        MUST(decode(&library, data, size, shrink, false) == DONE);
        MUST(library.size == own.size && memcmp(library.pixels, own.pixels, own.size) == 0);
        MUST(library.errors.num_warnings == own.errors.num_warnings);
        free(library.pixels);
    }
    free(own.pixels);
    return how;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1); /* of its own size, so that a sanitizer sees any step beyond it */
    MUST(copy != NULL);
    memcpy(copy, data, size);
    compare(copy, size, 1);
    free(copy);
    return 0;
}
