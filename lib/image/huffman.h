/* A faster Huffman decoder for baseline JPEG, used inside libjpeg-turbo, which spends three quarters of its time on that step in photographs.
 * The library still reads the headers, transforms, upsamples and converts; only the function that it calls for each MCU (decode_mcu in
 * jpegint.h) is replaced by one that finds up to two coefficients, with the zeros before them, by one table lookup (ITU-T T.81, F.2.2).
 * Only regular files are decoded here; for any irregularity the library's own decoder is used for the whole file, so that results and errors
 * are always its own. */
#ifndef TW_IMAGE_HUFFMAN_H
#define TW_IMAGE_HUFFMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

enum { TW_HUFFMAN_LOOK = 11 }; /* bits per lookup: tables of 8 KB, four of which fit the L1 cache */

typedef struct {
    uint32_t look[1 << TW_HUFFMAN_LOOK]; /* indexed by the next bits; format: see huffman.c */
    uint32_t limit[17];                  /* [length]: the next 16 bits begin with a code of at most this length if they are below limit */
    int place[17];                       /* [length]: index of a code's symbol in `symbols`, minus the code */
    const uint8_t *symbols;
} tw_huffman_table;

/* The bit reader: the next `count` bits are the upper bits of `bits`, followed by the bytes from `at` on. */
typedef struct {
    uint64_t bits;
    const uint8_t *at;
    unsigned count;
} tw_huffman_bits;

typedef struct {
    tw_huffman_table tables[2][2]; /* [0: DC, 1: AC][table number] */
    struct {
        const tw_huffman_table *dc, *ac;
        int last; /* DC coefficient of the component's last block */
    } components[MAX_COMPS_IN_SCAN];
    tw_huffman_bits in;
    const uint8_t *end;
    unsigned beyond; /* number of zero bits appended after the last data before a marker */
    int64_t mcus, until_restart; /* MCUs left in the scan; until the next restart marker, -1: there are none */
    int restart;                 /* number of the next restart marker, 0 to 7 */
} tw_huffman;

/* Prepares h for the scan of a file in memory; call between jpeg_start_decompress and the first row. c is not changed; h refers to c's tables.
 * false: the library's own decoder must be used: the scan is progressive, arithmetic-coded, has only some of the components, or tables not
 * allowed in baseline JPEG. */
bool tw_huffman_start(tw_huffman *h, j_decompress_ptr c);

/* Replaces decode_mcu: writes the quantised coefficients of the next MCU into c->blocks_in_MCU blocks, zeroed by the caller, in natural order.
 * false: the scan is irregular (an undefined code, more than 64 coefficients, a DC beyond 16 bits, missing or extra bits or bytes, a misplaced
 * restart marker); the file must then be decoded again from its beginning by the library alone. */
bool tw_huffman_mcu(tw_huffman *h, j_decompress_ptr c, JBLOCKROW *blocks);

#endif
