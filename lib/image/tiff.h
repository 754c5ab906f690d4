/* Interface between tiff.c, which gets the samples out of the file, and tiff_rgb.c, which makes colours of them. Internal to lib/image. */
#ifndef TW_IMAGE_TIFF_H
#define TW_IMAGE_TIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the tags of a TIFF say of its samples. All samples of a picture have the same size. */
typedef struct {
    uint16_t photometric, bits, format, samples; /* TIFF's tags of these names; photometric YCbCr: not here, libtiff converts those */
    bool premultiplied;                          /* the first extra sample is alpha, by which the colours have been multiplied */
    const uint16_t *colours[3];                  /* of a palette: red, green, blue, 2^bits of each */
} tw_tiff_kind;

/* A row of samples in the machine's byte order. From one pixel to the next are `step` samples, from one sample of a pixel to the next `plane`; of
 * samples below 8 bits, and of 12, whole rows are packed from the high bit of each byte down, and there is one sample a pixel. */
typedef struct {
    const uint8_t *at;
    size_t step, plane;
} tw_tiff_row;

typedef struct tw_tiff_rgb tw_tiff_rgb;

/* Converts w pixels to RGB, from the picture's column 0 or that of a tile. */
typedef void tw_tiff_convert(const tw_tiff_rgb *c, uint8_t *rgb, tw_tiff_row row, int w);

struct tw_tiff_rgb {
    tw_tiff_convert *convert;
    tw_tiff_kind kind;
    uint8_t table[256][3]; /* colours of values below 256 */
};

/* Finds how samples of that kind become the colours that Pillow's TiffImagePlugin (OPEN_INFO) and convert("RGB") make of them. False: they do not. */
bool tw_tiff_rgb_init(tw_tiff_rgb *c, const tw_tiff_kind *kind);

#endif
