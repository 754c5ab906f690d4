#include "stream/crc32c.h"

#include <pthread.h>
#include <string.h>

/* The instruction takes three cycles and one can start each cycle, so three stretches of BLOCK bytes run side by side and
 * are then joined: the first one's checksum is carried over BLOCK bytes of zeros and added to the second's, and so on. */
enum { BLOCK = 512 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t slice[8][256]; /* slice[k][b]: byte b followed by k bytes of zeros */
static uint32_t carry[4][256]; /* byte k of a checksum, carried over BLOCK bytes of zeros */

static void make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        slice[0][b] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            slice[k][b] = slice[k - 1][b] >> 8 ^ slice[0][slice[k - 1][b] & 255];
    for (int k = 0; k < 4; k++)
        for (unsigned b = 1; b < 256; b++) {
            const unsigned low = b & -b; /* carrying is linear: a bit of its own is worked out, the others are sums */
            if (low != b) {
                carry[k][b] = carry[k][low] ^ carry[k][b ^ low];
                continue;
            }
            uint32_t c = b << 8 * k;
            for (int i = 0; i < BLOCK; i++)
                c = c >> 8 ^ slice[0][c & 255];
            carry[k][b] = c;
        }
}

static uint32_t by_tables(uint32_t c, const unsigned char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        c = slice[7][c & 255] ^ slice[6][c >> 8 & 255] ^ slice[5][c >> 16 & 255] ^ slice[4][c >> 24] ^ slice[3][p[4]] ^
            slice[2][p[5]] ^ slice[1][p[6]] ^ slice[0][p[7]];
    }
    for (; n > 0; p++, n--)
        c = c >> 8 ^ slice[0][(c ^ *p) & 255];
    return c;
}

#ifdef __x86_64__
static uint64_t word(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t carried(uint64_t c)
{
    return carry[0][c & 255] ^ carry[1][c >> 8 & 255] ^ carry[2][c >> 16 & 255] ^ carry[3][c >> 24 & 255];
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t start, const unsigned char *p, size_t n)
{
    uint64_t a = start;
    for (; n >= 3 * BLOCK; p += 3 * BLOCK, n -= 3 * BLOCK) {
        uint64_t b = 0, c = 0;
        for (int i = 0; i < BLOCK; i += 8) {
            a = __builtin_ia32_crc32di(a, word(p + i));
            b = __builtin_ia32_crc32di(b, word(p + i + BLOCK));
            c = __builtin_ia32_crc32di(c, word(p + i + 2 * BLOCK));
        }
        a = carried(carried(a) ^ b) ^ c;
    }
    for (; n >= 8; p += 8, n -= 8)
        a = __builtin_ia32_crc32di(a, word(p));
    uint32_t last = (uint32_t)a;
    for (; n > 0; p++, n--)
        last = __builtin_ia32_crc32qi(last, *p);
    return last;
}
#endif

uint32_t tw_crc32c_portable(uint32_t crc, const void *data, size_t n)
{
    pthread_once(&once, make_tables);
    return ~by_tables(~crc, data, n);
}

uint32_t tw_crc32c(uint32_t crc, const void *data, size_t n)
{
    pthread_once(&once, make_tables);
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, data, n);
#endif
    return ~by_tables(~crc, data, n);
}
