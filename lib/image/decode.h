/* Decodes image files, recognised by content and not by name: JPEG, PNG, WebP, GIF (the first frame), TIFF (the first page), BMP, PBM, PGM
 * and PPM. The result is 8-bit RGB, as Pillow's convert("RGB") gives. */
#ifndef TW_IMAGE_DECODE_H
#define TW_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* u8 [h,w,3], contiguous. The memory is owned, grows as needed and is reused by the next decode; initialise to {0}. */
typedef struct {
    uint8_t *data;
    size_t cap;
    int w, h;
    uint8_t *spare; /* second buffer, for rotations */
    size_t spare_cap;
} tw_image;

typedef struct {
    int64_t max_pixels;  /* images with more pixels are refused before they are decoded */
    int shrink_to;       /* JPEG only: scale by 1/2, 1/4 or 1/8 while the short side stays at least this, in pixels; 0: never */
    bool exif_rotate;    /* rotate and mirror according to the Exif orientation */
    bool keep_truncated; /* accept a damaged file (not WebP) with the part that could be decoded; the rest is black, of a GIF background */
    void (*claim)(void *context, size_t bytes); /* called with the memory that the image will need, before it is allocated; may block. Or NULL */
    void *context;
} tw_decode_options;
#define TW_DECODE_DEFAULT {178956970, 0, false, false, NULL, NULL}

enum { TW_MOST_SIDE = 1 << 20 }; /* largest width or height in pixels, of decoded images and of those that views are made of */

/* Decodes one file of n bytes into out. 0, or -1 and tw_error() (without the file's name; out's pixels are then undefined).
 * Further limits, after shrinking: TW_MOST_SIDE, and as many pixels as fit a stream record (1 GiB). For a JPEG: 512 MiB of decoder memory, not
 * counting the coefficients of several scans, and 100 scans. Thread-safe for different out. */
int tw_image_decode(tw_image *out, const void *bytes, size_t n, const tw_decode_options *o);

/* Frees the image's memory. */
void tw_image_fini(tw_image *m);

#endif
