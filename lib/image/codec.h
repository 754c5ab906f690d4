/* Between decode.c and the formats. */
#ifndef TW_IMAGE_CODEC_H
#define TW_IMAGE_CODEC_H

#include "image/decode.h"

/* Each as tw_image_decode, for bytes that begin with the format's signature. */
int tw_jpeg_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_png_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_webp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_gif_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_bmp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);
int tw_pnm_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o);

/* Refuses w x h over max_pixels. 0, or -1 and tw_error(). */
int tw_image_check(int64_t w, int64_t h, const tw_decode_options *o);
/* Claims and makes room for w x h pixels and sets the size; more: bytes a pixel that the decoder needs besides. 0, or -1 and
 * tw_error(). */
int tw_image_resize(tw_image *m, int64_t w, int64_t h, int more, const tw_decode_options *o);

/* The Exif orientation 1..8 of a JPEG, PNG or WebP file; 1 where there is none or it is damaged. */
int tw_exif_orientation(const uint8_t *bytes, size_t n);

#endif
