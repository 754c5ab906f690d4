/* Goal: the fuzz target of streams holds on some ten thousand mutations of every record of the streams in formats/. */
#include "../fuzz/scan_fuzz.c"

#include "core/file.h"
#include "mutate.h"
#include "test.h"

enum { ROUNDS = 800 };

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
