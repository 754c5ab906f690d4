#include "core/crc32c.h"

#include <pthread.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* SSE4.2: the CRC instruction has a latency of three cycles and a throughput of one per cycle, so three blocks of BLOCK bytes are processed in
 * parallel and then combined: the first block's checksum is advanced over BLOCK zero bytes and XORed into the second's, and so on.
 *
 * VPCLMULQDQ: the message is folded first: 256 bytes are multiplied by x^2048 mod P and XORed into the next 256, which leaves the checksum
 * unchanged, until only 256 are left (Gopal, Ozturk and others, "Fast CRC computation for generic polynomials using PCLMULQDQ", 2009). */
enum { BLOCK = 512, FOLD = 256 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t slice[8][256]; /* slice[k][b]: byte b followed by k bytes of zeros */
static uint32_t carry[4][256]; /* byte k of a checksum, advanced over BLOCK zero bytes */
static uint64_t fold[2];       /* x^(8 FOLD + 32) and x^(8 FOLD - 32) mod P, bits reversed and shifted up by one */

/* x^n mod P, bits reversed: bit 31 is x^0. */
static uint32_t power(int n)
{
    uint32_t v = 0x80000000u;
    for (; n > 0; n--)
        v = v & 1 ? v >> 1 ^ 0x82f63b78u : v >> 1;
    return v;
}

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
            const unsigned low = b & -b; /* advancing is linear: computed for single bits, XORed for all other values */
            if (low != b) {
                carry[k][b] = carry[k][low] ^ carry[k][b ^ low];
                continue;
            }
            uint32_t c = b << 8 * k;
            for (int i = 0; i < BLOCK; i++)
                c = c >> 8 ^ slice[0][c & 255];
            carry[k][b] = c;
        }
    fold[0] = (uint64_t)power(8 * FOLD + 32) << 1;
    fold[1] = (uint64_t)power(8 * FOLD - 32) << 1;
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

__attribute__((target("avx2,vpclmulqdq"))) static __m256i folded(__m256i v, __m256i by, const unsigned char *next)
{
    const __m256i low = _mm256_clmulepi64_epi128(v, by, 0x00), high = _mm256_clmulepi64_epi128(v, by, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(low, high), _mm256_loadu_si256((const void *)next));
}

__attribute__((target("avx2,vpclmulqdq,sse4.2"))) static uint32_t by_products(uint32_t start, const unsigned char *p, size_t n)
{
    enum { LANES = FOLD / 32 };
    unsigned char left[FOLD];
    __m256i v[LANES];
    if (n < 2 * FOLD)
        return by_instruction(start, p, n);
    const __m256i by = _mm256_set_epi64x((long long)fold[1], (long long)fold[0], (long long)fold[1], (long long)fold[0]);
    for (int i = 0; i < LANES; i++)
        v[i] = _mm256_loadu_si256((const void *)(p + 32 * i));
    v[0] = _mm256_xor_si256(v[0], _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)start)));
    for (p += FOLD, n -= FOLD; n >= FOLD; p += FOLD, n -= FOLD)
        for (int i = 0; i < LANES; i++)
            v[i] = folded(v[i], by, p + 32 * i);
    for (int i = 0; i < LANES; i++)
        _mm256_storeu_si256((void *)(left + 32 * i), v[i]);
    return by_instruction(by_instruction(0, left, FOLD), p, n);
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
    if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("sse4.2"))
        return ~by_products(~crc, data, n);
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, data, n);
#endif
    return ~by_tables(~crc, data, n);
}
