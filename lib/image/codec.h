/* Interface between decode.c and the decoders of the formats. Internal to lib/image. */
#ifndef TW_IMAGE_CODEC_H
#define TW_IMAGE_CODEC_H

#include "image/decode.h"

/* Each as tw_image_decode, for bytes that begin with the format's signature. */
int tw_jpeg_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_png_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_webp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_gif_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_tiff_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_bmp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_pnm_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);

/* Checks w x h against o->max_pixels, before the image is scaled. 0, or -1 and tw_error(). */
int tw_image_check(int64_t w, int64_t h, const tw_decode_options *o);
/* Checks the final size w x h, calls o->claim, allocates the pixels and sets m->w and m->h. more: bytes per pixel that the decoder allocates in
 * addition. 0, or -1 and tw_error(). */
int tw_image_resize(tw_image *m, int64_t w, int64_t h, int more, const tw_decode_options *o);

/* A colour of a CMYK pixel: ink, of cyan, magenta or yellow, on what the black leaves white. As Pillow's cmyk2rgb. */
static inline uint8_t tw_from_ink(int ink, int white)
{
    const int t = ink * white + 128;
    return (uint8_t)(white - (((t >> 8) + t) >> 8));
}

/* Rotates and mirrors the image for orientation 2 to 8, as Pillow's ImageOps.exif_transpose; takes 3 bytes per pixel, which are claimed only with
 * o->exif_rotate. 0, or -1 and tw_error(). */
int tw_image_orient(tw_image *m, int orientation);

/* The Exif orientation, 1..8, of a JPEG, PNG or WebP file; 1 if there is none or it is damaged. */
int tw_exif_orientation(const uint8_t *bytes, size_t n);

#endif
