/* Decodes the Huffman codes of a JPEG for libjpeg-turbo, whose own way of doing so takes three quarters of its time on photographs. The
 * library reads the headers, transforms, upsamples and converts as ever; only the decoder that it calls for each MCU (decode_mcu in
 * jpegint.h) is another, which finds two coefficients with the zeros before them by one look into a table (codes: ITU-T T.81, F.2.2).
 * Only what is regular is decoded here: of anything odd the library is to judge alone. */
#ifndef TW_IMAGE_HUFFMAN_H
#define TW_IMAGE_HUFFMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

enum { TW_HUFFMAN_LOOK = 11 }; /* bits looked at: tables of 8 KB, four of which stay in the first cache */

typedef struct {
    uint32_t look[1 << TW_HUFFMAN_LOOK]; /* by the next bits: huffman.c says what */
    uint32_t limit[17];                  /* by length: 16 bits from here on are no code of it, nor of any shorter one */
    int place[17];                       /* by length: where the symbols of its codes would begin if its first code were 0 */
    const uint8_t *symbols;
} tw_huffman_table;

/* The next `count` bits are the upper ones of `bits`; behind them is what stands at `at`. */
typedef struct {
    uint64_t bits;
    const uint8_t *at;
    unsigned count;
} tw_huffman_bits;

typedef struct {
    tw_huffman_table tables[2][2]; /* [AC?][number] */
    struct {
        const tw_huffman_table *dc, *ac;
        int last; /* the DC of the block before */
    } components[MAX_COMPS_IN_SCAN];
    tw_huffman_bits in;
    const uint8_t *end;
    unsigned beyond; /* how many of the bits are made up, behind the last one before a marker */
    int64_t mcus, until_restart; /* still to come; until_restart -1: there are no restarts */
    int restart;                 /* the number of the next one, 0 to 7 */
} tw_huffman;

/* To be called between jpeg_start_decompress and the first row of a file in memory: makes h ready for its scan. false: a scan for the
 * library's own decoder, being progressive, arithmetic, of some of the components only, or of tables that baseline JPEG does not
 * have. c is not changed; h refers to c's tables. */
bool tw_huffman_start(tw_huffman *h, j_decompress_ptr c);

/* As decode_mcu: the quantised coefficients of the next MCU into c->blocks_in_MCU blocks of zeros, in natural order. false: the scan is
 * not regular from here on (a code that there is not, more than 64 coefficients, a DC beyond 16 bits, bits or bytes missing or left over,
 * a restart marker elsewhere); what was decoded so far is then worth nothing, and the whole file the library's. */
bool tw_huffman_mcu(tw_huffman *h, j_decompress_ptr c, JBLOCKROW *blocks);

#endif
