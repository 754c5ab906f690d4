/* Random changes to bytes, as libFuzzer makes them, for the short runs of the fuzz targets that every compiler can make. */
#ifndef TW_MUTATE_H
#define TW_MUTATE_H

#include "core/philox.h"

#include <stddef.h>
#include <string.h>

/* Values that tend to break parsers: heads of every kind of msgpack, large lengths, ends of ranges. */
static const unsigned char mutate_nasty[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x9f, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xca, 0xcf, 0xd3, 0xd8,
                                             0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff, '0',  '7',  ' '};

/* Changes n bytes at d, room for cap, in one to four places. The new size. */
static inline size_t mutate(unsigned char *d, size_t n, size_t cap, tw_rng *r)
{
    for (uint64_t k = 1 + tw_rng_below(r, 4); k > 0 && n > 0; k--) {
        const size_t at = tw_rng_below(r, n), len = tw_rng_below(r, n - at < 16 ? n - at + 1 : 17);
        switch (tw_rng_below(r, 5)) {
        case 0:
            d[at] ^= (unsigned char)(1u << tw_rng_below(r, 8));
            break;
        case 1:
            d[at] = mutate_nasty[tw_rng_below(r, sizeof mutate_nasty)];
            break;
        case 2: /* cut out */
            memmove(d + at, d + at + len, n - at - len);
            n -= len;
            break;
        case 3: /* double */
            if (n + len <= cap) {
                memmove(d + at + len, d + at, n - at);
                n += len;
            }
            break;
        default:
            n = tw_rng_below(r, 8) == 0 ? at : n;
        }
    }
    return n;
}

#endif
