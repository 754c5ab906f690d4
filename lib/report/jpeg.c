#include "report/jpeg.h"

#include "core/error.h"

#include <stdio.h> /* needed by jpeglib.h, which does not include it */
#include <jpeglib.h>
#include <setjmp.h>
#include <stdlib.h>

typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf out;
} errors;

static void on_error(j_common_ptr j)
{
    char why[JMSG_LENGTH_MAX];
    j->err->format_message(j, why);
    tw_fail("jpeg: %s", why);
    longjmp(((errors *)j->err)->out, 1);
}

/* A separate function, so that no local variable that longjmp makes indeterminate is used afterwards. */
static int compress_to(unsigned char **block, unsigned long *size, const unsigned char *rgb, int H, int W, int quality)
{
    struct jpeg_compress_struct j;
    errors e;
    j.err = jpeg_std_error(&e.base);
    e.base.error_exit = on_error;
    if (setjmp(e.out) != 0) {
        jpeg_destroy_compress(&j);
        return -1;
    }
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, block, size);
    j.image_width = (JDIMENSION)W;
    j.image_height = (JDIMENSION)H;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, quality, TRUE);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)j.next_scanline * (size_t)W * 3);
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    return 0;
}

unsigned char *tw_jpeg_compress(size_t *size, const unsigned char *rgb, int H, int W, int quality)
{
    unsigned char *block = NULL;
    unsigned long n = 0;
    if (compress_to(&block, &n, rgb, H, W, quality) != 0) {
        free(block);
        return NULL;
    }
    *size = n;
    return block;
}
