/* Reads the Exif orientation: tag 0x0112 of the first directory (Exif 2.3, 4.6.4). Every offset is checked. */
#include "image/codec.h"

#include <string.h>

static uint32_t u16(const uint8_t *p, bool big)
{
    return big ? (uint32_t)(p[0] << 8 | p[1]) : (uint32_t)(p[1] << 8 | p[0]);
}

static uint32_t u32(const uint8_t *p, bool big)
{
    return big ? u16(p, big) << 16 | u16(p + 2, big) : u16(p + 2, big) << 16 | u16(p, big);
}

/* Parses the TIFF structure: byte order, offset of the first directory, entries of 12 bytes. */
static int from_tiff(const uint8_t *t, size_t n)
{
    if (n < 8 || (memcmp(t, "II*\0", 4) != 0 && memcmp(t, "MM\0*", 4) != 0))
        return 1;
    const bool big = t[0] == 'M';
    const size_t at = u32(t + 4, big);
    if (at > n - 2)
        return 1;
    const size_t entries = u16(t + at, big);
    for (size_t i = 0; i < entries && n - at - 2 >= 12 * (i + 1); i++) {
        const uint8_t *e = t + at + 2 + 12 * i;
        if (u16(e, big) != 0x0112)
            continue;
        const uint32_t type = u16(e + 2, big); /* SHORT, LONG, SSHORT, SLONG */
        const uint32_t value = type == 3 || type == 8 ? u16(e + 8, big) : type == 4 || type == 9 ? u32(e + 8, big) : 0;
        return u32(e + 4, big) > 0 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* The same, after the optional prefix "Exif\0\0". */
static int from_block(const uint8_t *t, size_t n)
{
    const bool prefixed = n >= 6 && memcmp(t, "Exif\0", 6) == 0;
    return prefixed ? from_tiff(t + 6, n - 6) : from_tiff(t, n);
}

static int from_jpeg(const uint8_t *b, size_t n)
{
    size_t at = 2;
    while (n - at >= 4 && b[at] == 0xff) {
        const uint8_t marker = b[at + 1];
        const size_t size = u16(b + at + 2, true); /* of the segment from here on */
        if (marker == 0xff) {                      /* a fill byte */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9 || size < 2 || size > n - at - 2)
            break;
        if (marker == 0xe1 && size >= 8 && memcmp(b + at + 4, "Exif\0", 6) == 0)
            return from_tiff(b + at + 10, size - 8);
        at += 2 + size;
    }
    return 1;
}

static int from_png(const uint8_t *b, size_t n)
{
    size_t at = 8;
    while (n - at >= 12) {
        const size_t size = u32(b + at, true);
        if (size > n - at - 12)
            break;
        if (memcmp(b + at + 4, "eXIf", 4) == 0)
            return from_block(b + at + 8, size);
        at += 12 + size;
    }
    return 1;
}

static int from_webp(const uint8_t *b, size_t n)
{
    size_t at = 12;
    while (n - at >= 8) {
        const size_t size = u32(b + at + 4, false), padded = size + size % 2;
        if (size > n - at - 8)
            break;
        if (memcmp(b + at, "EXIF", 4) == 0)
            return from_block(b + at + 8, size);
        at += 8 + (padded < n - at - 8 ? padded : n - at - 8);
    }
    return 1;
}

int tw_exif_orientation(const uint8_t *bytes, size_t n)
{
    if (n < 12)
        return 1;
    if (memcmp(bytes + 8, "WEBP", 4) == 0)
        return from_webp(bytes, n);
    return bytes[0] == 0xff ? from_jpeg(bytes, n) : bytes[0] == 0x89 ? from_png(bytes, n) : 1;
}
