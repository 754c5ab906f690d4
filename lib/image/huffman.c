#include "image/huffman.h"

#include <string.h>

/* A table entry describes one or two coefficients. From the low end: 6 bits: total bits used, codes and values; 6 and 6 bits: steps in zigzag
 * order to the first and from it to the second coefficient (END: end of block); 7 and 7 bits: their values. With one coefficient, the second
 * has step 0 and the same value. An entry for a code that does not fit has 0 bits used, step END, then 8 bits symbol and the code's length (0:
 * longer than LOOK). */
enum { LOOK = TW_HUFFMAN_LOOK, END = 63, LAST = 63 };

static const uint8_t natural[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

static uint32_t one_entry(int bits, int step, int value)
{
    return (uint32_t)bits | (uint32_t)step << 6 | (uint32_t)(value & 127) << 18 | (uint32_t)(value & 127) << 25;
}

static uint32_t long_entry(int length, int symbol)
{
    return (uint32_t)END << 6 | (uint32_t)symbol << 12 | (uint32_t)length << 20;
}

static inline unsigned bits_of(uint32_t e)
{
    return e & 63;
}

static inline int step_of(uint32_t e)
{
    return e >> 6 & 63;
}

static inline int second_step(uint32_t e)
{
    return e >> 12 & 63;
}

static inline int16_t value_of(uint32_t e)
{
    return (int16_t)((int32_t)(e << 7) >> 25);
}

static inline int16_t second_value(uint32_t e)
{
    return (int16_t)((int32_t)e >> 25);
}

static uint32_t two_entries(uint32_t a, uint32_t b)
{
    return (a & 0x01fc0fc0) | (bits_of(a) + bits_of(b)) | (uint32_t)step_of(b) << 12 | (b & 0xfe000000);
}

/* EXTEND of T.81: the signed value of a coefficient whose `size` bits are raw. */
static inline int extend(unsigned raw, int size)
{
    return raw >> (size - 1) != 0 ? (int)raw : (int)raw - (1 << size) + 1;
}

/* Fills the entries whose bits begin with the code. A symbol is, in 4 bits each, the zeros before a coefficient and its size in bits. */
static void fill(tw_huffman_table *t, unsigned code, int length, int symbol, bool dc)
{
    const int size = symbol & 15, left = LOOK - length - size;
    const int step = dc ? 0 : symbol == 0 ? END : (symbol >> 4) + 1;
    uint32_t *to = &t->look[code << (LOOK - length)];
    if (left < 0 || size > 6) {
        for (int i = 0; i < 1 << (LOOK - length); i++)
            *to++ = long_entry(length, symbol);
        return;
    }
    for (unsigned raw = 0; raw < 1u << size; raw++) {
        const uint32_t e = one_entry(length + size, step, size == 0 ? 0 : extend(raw, size));
        for (int i = 0; i < 1 << left; i++)
            *to++ = e;
    }
}

/* Combines entries: where LOOK bits contain two whole coefficients, the entry gets both. */
static void pair(tw_huffman_table *t)
{
    uint32_t one[1 << LOOK];
    memcpy(one, t->look, sizeof one);
    for (unsigned i = 0; i < 1 << LOOK; i++) {
        const uint32_t a = one[i], b = one[i << bits_of(a) & ((1 << LOOK) - 1)];
        if (step_of(a) != END && bits_of(b) != 0 && bits_of(a) + bits_of(b) <= LOOK)
            t->look[i] = two_entries(a, b);
    }
}

static bool is_regular(int symbol, bool dc)
{
    const int size = symbol & 15;
    return dc ? symbol <= 11 : size <= 10 && (size != 0 || symbol == 0 || symbol == 0xf0);
}

static bool build(tw_huffman_table *t, const JHUFF_TBL *from, bool dc)
{
    unsigned code = 0;
    int place = 0;
    for (int length = 1; length <= 16; length++, code <<= 1) {
        t->place[length] = place - (int)code;
        for (int i = 0; i < from->bits[length]; i++, place++, code++) {
            if (place > 255 || code >= 1u << length || !is_regular(from->huffval[place], dc))
                return false;
            if (length <= LOOK)
                fill(t, code, length, from->huffval[place], dc);
        }
        t->limit[length] = code << (16 - length);
        if (length == LOOK)
            for (unsigned i = code; i < 1 << LOOK; i++)
                t->look[i] = long_entry(0, 0);
    }
    t->symbols = from->huffval;
    if (!dc)
        pair(t);
    return true;
}

/* Refills byte by byte near an 0xff: followed by 0 it is a data byte; else it begins a marker, and zeros are appended. */
static __attribute__((noinline)) void creep(tw_huffman *h)
{
    tw_huffman_bits *r = &h->in;
    while (r->count < 56) {
        uint64_t byte = 0;
        if (r->at < h->end && r->at[0] != 0xff)
            byte = *r->at++;
        else if (h->end - r->at >= 2 && r->at[1] == 0)
            byte = 0xff, r->at += 2;
        else
            h->beyond += 8;
        r->bits |= byte << (56 - r->count);
        r->count += 8;
    }
}

static void begin_interval(tw_huffman *h, const uint8_t *at, const struct jpeg_decompress_struct *c)
{
    h->in = (tw_huffman_bits){0, at, 0};
    h->beyond = 0;
    h->until_restart = c->restart_interval != 0 ? (int64_t)c->restart_interval : -1;
    for (int i = 0; i < c->comps_in_scan; i++)
        h->components[i].last = 0;
    creep(h);
}

bool tw_huffman_start(tw_huffman *h, j_decompress_ptr c)
{
    if (c->progressive_mode || c->arith_code || c->comps_in_scan != c->num_components)
        return false;
    bool ready[2][2] = {0};
    for (int i = 0; i < c->comps_in_scan; i++) {
        const int dc = c->cur_comp_info[i]->dc_tbl_no, ac = c->cur_comp_info[i]->ac_tbl_no;
        if (dc > 1 || ac > 1 || c->dc_huff_tbl_ptrs[dc] == NULL || c->ac_huff_tbl_ptrs[ac] == NULL)
            return false;
        if ((!ready[0][dc] && !build(&h->tables[0][dc], c->dc_huff_tbl_ptrs[dc], true)) ||
            (!ready[1][ac] && !build(&h->tables[1][ac], c->ac_huff_tbl_ptrs[ac], false)))
            return false;
        ready[0][dc] = ready[1][ac] = true;
        h->components[i].dc = &h->tables[0][dc];
        h->components[i].ac = &h->tables[1][ac];
    }
    h->end = c->src->next_input_byte + c->src->bytes_in_buffer;
    h->mcus = (int64_t)c->MCUs_per_row * c->MCU_rows_in_scan;
    h->restart = 0;
    begin_interval(h, c->src->next_input_byte, c);
    return true;
}

/* Refills to at least 56 bits. Eight bytes without an 0xff are loaded at once; those that do not fit as a whole are loaded again by the next
 * refill. */
static inline void refill(tw_huffman *h, tw_huffman_bits *r)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t next = ~(uint64_t)0;
    if (h->end - r->at >= 8)
        memcpy(&next, r->at, sizeof next);
    if (((~next - ones) & next & ones << 7) == 0) {
        r->bits |= __builtin_bswap64(next) >> r->count;
        r->at += (63 - r->count) >> 3;
        r->count |= 56;
    } else {
        h->in = *r;
        creep(h);
        *r = h->in;
    }
}

static inline void take(tw_huffman_bits *r, unsigned n)
{
    r->bits <<= n;
    r->count -= n;
}

static inline uint32_t look(const tw_huffman_table *t, const tw_huffman_bits *r)
{
    return t->look[r->bits >> (64 - LOOK)];
}

/* Decodes a coefficient whose entry does not contain it; code and value have at most 27 bits. false: undefined code. */
static inline bool take_long(const tw_huffman_table *t, uint32_t e, tw_huffman_bits *r, int *symbol, int *value)
{
    int length = e >> 20;
    *symbol = e >> 12 & 255;
    if (length == 0) {
        const unsigned next = (unsigned)(r->bits >> 48);
        for (length = 1; length <= 16 && next >= t->limit[length];)
            length++;
        if (length > 16)
            return false;
        *symbol = t->symbols[t->place[length] + (int)(next >> (16 - length))];
    }
    const int size = *symbol & 15;
    *value = size == 0 ? 0 : extend((unsigned)(r->bits << length >> (64 - size)), size);
    take(r, (unsigned)(length + size));
    return true;
}

/* Decodes one block. Between two refills there are at most three lookups, or two and a long code: 49 bits. The next lookup is done before the
 * refill, so that the processor can overlap them. */
static inline bool decode_block(tw_huffman *h, const tw_huffman_table *dc, const tw_huffman_table *ac, int *last, int16_t *to)
{
    tw_huffman_bits r = h->in;
    uint64_t before;
    uint32_t e = look(dc, &r);
    int symbol, value = value_of(e), k = 0;
    refill(h, &r);
    if (bits_of(e) != 0)
        take(&r, bits_of(e));
    else if (!take_long(dc, e, &r, &symbol, &value))
        return false;
    *last += value;
    if (*last != (int16_t)*last)
        return false;
    to[0] = (int16_t)*last;
    e = look(ac, &r);
    refill(h, &r);
    for (;;) {
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
            if (i > 0)
                e = look(ac, &r);
            before = r.bits;
            take(&r, bits_of(e));
            k += step_of(e);
            if (__builtin_expect(k >= LAST, 0))
                goto first;
            to[natural[k]] = value_of(e);
            k += second_step(e);
            if (__builtin_expect(k >= LAST, 0))
                goto second;
            to[natural[k]] = second_value(e);
        }
        e = look(ac, &r);
        refill(h, &r);
        continue;
    second:
        if (second_step(e) == END)
            break;
        if (k > LAST)
            return false;
        to[natural[LAST]] = second_value(e);
        break;
    first:
        if (bits_of(e) != 0) {
            if (step_of(e) == END)
                break;
            k += END - step_of(e); /* at the last coefficient, or beyond: redo this lookup with the first of the two only */
            r.bits = before;
            r.count += bits_of(e);
            e = long_entry(0, 0);
        }
        if (!take_long(ac, e, &r, &symbol, &value))
            return false;
        refill(h, &r);
        if (symbol == 0)
            break;
        k += (symbol >> 4) + 1 - END;
        if (k > LAST)
            return false;
        to[natural[k]] = (int16_t)value;
        if (k == LAST)
            break;
        e = look(ac, &r);
    }
    h->in = r;
    return true;
}

/* At the end of a restart interval: whether a marker follows, with at most the padding of a byte before it. */
static bool at_marker(const tw_huffman *h)
{
    const uint8_t *at = h->in.at;
    return h->in.count - h->beyond < 8 && h->end - at >= 2 && at[0] == 0xff && at[1] != 0 && at[1] != 0xff;
}

bool tw_huffman_mcu(tw_huffman *h, j_decompress_ptr c, JBLOCKROW *blocks)
{
    if (h->until_restart == 0) {
        if (!at_marker(h) || h->in.at[1] != 0xd0 + h->restart)
            return false;
        h->restart = (h->restart + 1) % 8;
        begin_interval(h, h->in.at + 2, c);
    }
    for (int i = 0; i < c->blocks_in_MCU; i++) {
        const int of = c->MCU_membership[i];
        if (!decode_block(h, h->components[of].dc, h->components[of].ac, &h->components[of].last, *blocks[i]))
            return false;
    }
    h->until_restart -= h->until_restart > 0;
    h->mcus--;
    c->src->bytes_in_buffer = (size_t)(h->end - h->in.at);
    c->src->next_input_byte = h->in.at;
    return h->in.count >= h->beyond && (h->mcus > 0 || at_marker(h));
}
