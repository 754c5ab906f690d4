/* Goal: the fuzz target of streams holds on some ten thousand mutations of every record of the streams in formats/. */
#include "../fuzz/scan_fuzz.c"

#include "core/file.h"
#include "core/philox.h"
#include "test.h"

enum { ROUNDS = 800 };

/* Values that tend to break parsers: heads of every kind, large lengths. */
static const unsigned char nasty[] = {0x00, 0x7f, 0x80, 0x8f, 0x9f, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xca, 0xcf,
                                      0xd3, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};

static size_t mutate(unsigned char *d, size_t n, size_t cap, tw_rng *r)
{
    for (uint64_t k = 1 + tw_rng_below(r, 4); k > 0 && n > 0; k--) {
        const size_t at = tw_rng_below(r, n), len = tw_rng_below(r, n - at < 16 ? n - at + 1 : 17);
        switch (tw_rng_below(r, 5)) {
        case 0:
            d[at] ^= (unsigned char)(1u << tw_rng_below(r, 8));
            break;
        case 1:
            d[at] = nasty[tw_rng_below(r, sizeof nasty)];
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

static void fuzz_record(const unsigned char *record, size_t size, tw_rng *r)
{
    unsigned char *d = malloc(size + 64);
    MUST(d != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(d, record, size);
        LLVMFuzzerTestOneInput(d, i == 0 ? size : mutate(d, size, size + 64, r));
    }
    free(d);
}

int main(void)
{
    static const tw_limits limits = TW_LIMITS_DEFAULT;
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SYNTH, 0, 0, 0);
    for (int kind = TW_FILES; kind <= TW_FEATURES; kind++) {
        char path[64];
        size_t size = 0, at = 0;
        int records = 0;
        snprintf(path, sizeof path, "formats/%s.tws", tw_kind_names[kind]);
        unsigned char *d = tw_file_read(path, &size, 0);
        CHECK(d != NULL);
        for (; at < size; records++) {
            tw_scan s;
            tw_scan_init(&s, &limits);
            MUST(tw_scan_run(&s, d + at, size - at) == 1);
            fuzz_record(d + at, s.at, &r);
            at += s.at;
        }
        CHECK(records == 5);
        free(d);
    }
    return test_done();
}
