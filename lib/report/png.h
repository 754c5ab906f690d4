/* PNG files. */
#ifndef TW_REPORT_PNG_H
#define TW_REPORT_PNG_H

/* Writes rgb (u8 [H,W,3]) as an 8-bit RGB PNG file, atomically (core/file.h). 0, or -1 and tw_error() naming the path. */
int tw_png_write(const char *path, const unsigned char *rgb, int H, int W);

#endif
