/* JPEG compression. */
#ifndef TW_REPORT_JPEG_H
#define TW_REPORT_JPEG_H

#include <stddef.h>

/* Compresses rgb (u8 [H,W,3]) with quality 1 to 100 and 4:2:0 chroma subsampling (libjpeg's default). Returns a block of *size bytes,
 * which the caller frees. Thread-safe. NULL and tw_error(). */
unsigned char *tw_jpeg_compress(size_t *size, const unsigned char *rgb, int H, int W, int quality);

#endif
