#include "report/png.h"

#include "core/error.h"
#include "core/file.h"

#include <png.h>
#include <setjmp.h>

static void on_error(png_structp png, png_const_charp why)
{
    const char *path = png_get_error_ptr(png);
    FILE *f = png_get_io_ptr(png);
    if (f != NULL && ferror(f)) /* libpng's message would be "Write Error" only */
        tw_fail_errno("%s", path);
    else
        tw_fail("%s: %s", path, why);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp why)
{
    (void)png, (void)why; /* warnings are about things that libpng corrects itself */
}

/* A separate function, so that no local variable that longjmp makes indeterminate is used afterwards. */
static int write_to(FILE *f, const char *path, const unsigned char *rgb, int H, int W)
{
    png_infop info = NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, (void *)path, on_error, on_warning);
    if (png == NULL || (info = png_create_info_struct(png)) == NULL) {
        png_destroy_write_struct(&png, NULL);
        return tw_fail("%s: out of memory", path);
    }
    if (setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return -1;
    }
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)W, (png_uint_32)H, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < H; y++)
        png_write_row(png, rgb + (size_t)y * (size_t)W * 3);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return 0;
}

int tw_png_write(const char *path, const unsigned char *rgb, int H, int W)
{
    tw_file *file = tw_file_create(path);
    if (file == NULL)
        return -1;
    if (write_to(tw_file_stream(file), path, rgb, H, W) == 0)
        return tw_file_commit(file);
    tw_file_abandon(file);
    return -1;
}
