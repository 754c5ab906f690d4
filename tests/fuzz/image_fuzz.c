/* Goal: whatever bytes a picture is made of, the decoders neither read nor write where they must not, give as many pixels as they say, and
 * take no more memory than the limit on pixels allows. */
#include "core/error.h"
#include "image/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

/* Puts the sums of a PNG's chunks right, or nothing behind them would ever be looked at. */
static void mend(uint8_t *d, size_t size)
{
    for (size_t at = 8, n; size > 8 && memcmp(d, "\x89PNG\r\n\x1a\n", 8) == 0 && size - at >= 12; at += 12 + n) {
        n = (size_t)d[at] << 24 | (size_t)d[at + 1] << 16 | (size_t)d[at + 2] << 8 | d[at + 3];
        if (n > size - at - 12)
            return;
        const uLong crc = crc32(0, d + at + 4, (uInt)n + 4);
        for (int i = 0; i < 4; i++)
            d[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max);
    if (seed % 4 != 0)
        mend(data, size);
    return size;
}

enum { MAX_PIXELS = 1 << 16 };

static void on_claim(void *context, size_t bytes)
{
    MUST(bytes <= (size_t)MAX_PIXELS * 20);
    *(size_t *)context += bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1); /* of its own size, so that a sanitizer sees any step beyond it */
    MUST(copy != NULL);
    memcpy(copy, data, size);
    for (int i = 0; i < 2; i++) {
        tw_image m = {0};
        size_t claimed = 0;
        const tw_decode_options o = {MAX_PIXELS, i == 0 ? 0 : 20, i == 1, i == 1, on_claim, &claimed};
        if (tw_image_decode(&m, copy, size, &o) == 0) {
            unsigned sum = 0;
            MUST(m.w >= 1 && m.h >= 1 && (int64_t)m.w * m.h <= MAX_PIXELS && claimed >= (size_t)m.w * (size_t)m.h * 3);
            for (size_t k = 0; k < (size_t)m.w * (size_t)m.h * 3; k++)
                sum += m.data[k];
            MUST(sum <= 255u * 3 * MAX_PIXELS);
        } else {
            MUST(tw_error()[0] != '\0');
        }
        tw_image_fini(&m);
    }
    free(copy);
    return 0;
}
