/* Undecoded files to pixels, by content and not by name: JPEG, PNG, WebP, GIF (the first frame), BMP, PBM, PGM and PPM, always 8-bit RGB
 * as Pillow's convert("RGB") gives. */
#ifndef TW_IMAGE_DECODE_H
#define TW_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* u8 [h,w,3], rows without gaps. The memory grows and is used again by the next decode; start from {0}. */
typedef struct {
    uint8_t *data;
    size_t cap;
    int w, h;
    uint8_t *spare; /* the other side of a rotation */
    size_t spare_cap;
} tw_image;

typedef struct {
    int64_t max_pixels;  /* a larger image is refused before it is decoded */
    int shrink_to;       /* JPEG only: scale by 1/2, 1/4 or 1/8 while the short side stays at least this; 0: never */
    bool exif_rotate;    /* turn upright as the Exif orientation says */
    bool keep_truncated; /* what could be decoded of a damaged file counts, instead of being an error */
    void (*claim)(void *context, size_t bytes); /* told how much memory a picture will take before any is; may wait. NULL: nobody is */
    void *context;
} tw_decode_options;
#define TW_DECODE_DEFAULT {178956970, 0, false, false, NULL, NULL}

enum { TW_MOST_SIDE = 1 << 20 }; /* of a picture, as what makes views of it takes it */

/* Decodes one file of n bytes into out. 0, or -1 and tw_error() (without the file's name; out's pixels undefined).
 * Limits besides max_pixels: sides of TW_MOST_SIDE and as many pixels as a record of a stream has room for, both after shrinking; 512 MiB of
 * decoder memory beside a progressive JPEG's coefficients, and 100 of its scans. Thread-safe for different out. */
int tw_image_decode(tw_image *out, const void *bytes, size_t n, const tw_decode_options *o);

/* Frees the image's memory. */
void tw_image_fini(tw_image *m);

#endif
