/* Pictures written as JPEG. */
#ifndef TW_REPORT_JPEG_H
#define TW_REPORT_JPEG_H

#include <stddef.h>

/* Compresses rgb (u8 [H,W,3]) at a quality of 1 to 100, colour at half resolution (libjpeg's default), into a block of *size bytes.
 * Free it with free(). Thread-safe. NULL and tw_error(). */
unsigned char *tw_jpeg_compress(size_t *size, const unsigned char *rgb, int H, int W, int quality);

#endif
