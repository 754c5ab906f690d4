#include "image/tiff.h"

#include "image/codec.h"

#include <string.h>

#include <tiff.h>

static uint16_t u16(const uint8_t *row, size_t i)
{
    uint16_t v;
    memcpy(&v, row + 2 * i, sizeof v);
    return v;
}

/* Grey and palettes of up to 8 bits. */
static void from_table(const tw_tiff_rgb *c, uint8_t *rgb, tw_tiff_row row, int w)
{
    const unsigned bits = c->kind.bits, mask = (1u << bits) - 1;
    for (size_t x = 0; x < (size_t)w; x++, rgb += 3) {
        const size_t bit = x * row.step * bits;
        memcpy(rgb, c->table[row.at[bit / 8] >> (8 - bits - bit % 8) & mask], 3);
    }
}

static uint8_t clip(int64_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Grey of more than 8 bits: everything above 255 becomes 255, as in Pillow's conversions of I;16, I and F. Unsigned 32 bits are taken for signed. */
static uint8_t deep_grey(const tw_tiff_kind *kind, const uint8_t *row, size_t x)
{
    int32_t i;
    float f;
    switch (kind->bits) {
    case 12: {
        const uint8_t *p = row + x / 2 * 3;
        return clip(x % 2 == 0 ? p[0] << 4 | p[1] >> 4 : (p[1] & 15) << 8 | p[2]);
    }
    case 16:
        return clip(kind->format == SAMPLEFORMAT_INT ? (int16_t)u16(row, x) : u16(row, x));
    }
    if (kind->format == SAMPLEFORMAT_IEEEFP) {
        memcpy(&f, row + 4 * x, sizeof f);
        return f > 0 ? (uint8_t)(f < 255 ? f : 255) : 0;
    }
    memcpy(&i, row + 4 * x, sizeof i);
    return clip(i);
}

static void from_deep_grey(const tw_tiff_rgb *c, uint8_t *rgb, tw_tiff_row row, int w)
{
    for (size_t x = 0; x < (size_t)w; x++, rgb += 3)
        memset(rgb, deep_grey(&c->kind, row.at, x), 3);
}

/* Sample i of the row in 8 bits: of 16 the high ones. */
static uint8_t sample8(const tw_tiff_rgb *c, tw_tiff_row row, size_t i)
{
    return c->kind.bits == 8 ? row.at[i] : (uint8_t)(u16(row.at, i) >> 8);
}

static void from_rgb(const tw_tiff_rgb *c, uint8_t *rgb, tw_tiff_row row, int w)
{
    for (size_t x = 0; x < (size_t)w; x++, rgb += 3) {
        const unsigned alpha = c->kind.premultiplied ? sample8(c, row, x * row.step + 3 * row.plane) : 255;
        for (size_t s = 0; s < 3; s++) {
            const unsigned v = sample8(c, row, x * row.step + s * row.plane);
            rgb[s] = alpha == 255 ? (uint8_t)v : alpha == 0 ? 0 : clip(v * 255 / alpha);
        }
    }
}

static void from_cmyk(const tw_tiff_rgb *c, uint8_t *rgb, tw_tiff_row row, int w)
{
    for (size_t x = 0; x < (size_t)w; x++, rgb += 3) {
        const int white = 255 - sample8(c, row, x * row.step + 3 * row.plane);
        for (size_t s = 0; s < 3; s++)
            rgb[s] = tw_from_ink(sample8(c, row, x * row.step + s * row.plane), white);
    }
}

static void make_grey(tw_tiff_rgb *c)
{
    const int most = (1 << c->kind.bits) - 1;
    for (int i = 0; i <= most; i++)
        memset(c->table[i], (c->kind.photometric == PHOTOMETRIC_MINISWHITE ? most - i : i) * 255 / most, 3);
}

static void make_palette(tw_tiff_rgb *c)
{
    for (int i = 0; i < 1 << c->kind.bits; i++)
        for (int s = 0; s < 3; s++)
            c->table[i][s] = (uint8_t)(c->kind.colours[s][i] >> 8);
}

bool tw_tiff_rgb_init(tw_tiff_rgb *c, const tw_tiff_kind *k)
{
    const bool whole = k->format == SAMPLEFORMAT_UINT, small = k->bits == 1 || k->bits == 2 || k->bits == 4, wide = k->bits == 8 || k->bits == 16;
    const int extra = k->samples - (k->photometric == PHOTOMETRIC_RGB ? 3 : k->photometric == PHOTOMETRIC_SEPARATED ? 4 : 1);
    memset(c, 0, sizeof *c);
    c->kind = *k;
    switch (k->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        if ((whole && small && extra == 0) || (k->bits == 8 && (whole || k->format == SAMPLEFORMAT_INT) && (extra == 0 || extra == 1))) {
            make_grey(c);
            c->convert = from_table;
        } else if (extra == 0 && ((whole && (k->bits == 12 || k->bits == 16 || k->bits == 32)) ||
                                  (k->format == SAMPLEFORMAT_INT && (k->bits == 16 || k->bits == 32)) ||
                                  (k->format == SAMPLEFORMAT_IEEEFP && k->bits == 32))) {
            c->convert = from_deep_grey; /* Pillow does not invert these */
        }
        break;
    case PHOTOMETRIC_PALETTE:
        if (whole && k->colours[0] != NULL && ((small && extra == 0) || (k->bits == 8 && (extra == 0 || extra == 1)))) {
            make_palette(c);
            c->convert = from_table;
        }
        break;
    case PHOTOMETRIC_RGB:
        if (whole && wide && extra >= 0 && extra <= 3)
            c->convert = from_rgb;
        break;
    case PHOTOMETRIC_SEPARATED:
        if (whole && wide && extra >= 0 && extra <= 2)
            c->convert = from_cmyk;
        break;
    }
    return c->convert != NULL;
}
