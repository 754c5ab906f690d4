/* Goal: a head's rules under thousands of random schedules (feed_fuzz.c says what must hold); its messages read back as they were written, and
 * refused where they are damaged; where the workers disagree, and what a slow one costs. */
#include "../fuzz/feed_fuzz.c"

#include "feed/agree.h"
#include "mutate.h"
#include "test.h"

static void schedules(void)
{
    unsigned char d[600];
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SYNTH, 1, 0, 0);
    for (int i = 0; i < 20000; i++) {
        const size_t n = 2 * tw_rng_below(&r, sizeof d / 2);
        for (size_t k = 0; k < n; k++)
            d[k] = (unsigned char)tw_rng_below(&r, 256);
        LLVMFuzzerTestOneInput(d, n);
    }
    CHECK(true);
}

static void messages(void)
{
    const tw_feed_msg all[] = {
        {.type = TW_HELLO, .protocol = 1, .text = "0.1.0", .name = "node7.12", .slots = 256},
        {.type = TW_WELCOME, .protocol = 1, .session = UINT64_MAX, .hb_ms = 1000, .lease_ms = 30000, .max_bytes = 1 << 26},
        {.type = TW_REFUSE, .code = 2, .text = "another command"},
        {.type = TW_LEASE, .session = 7, .pos = 1 << 30, .lease = 9, .sub = 2,
         .what = {.index = 5, .epoch = 3, .pos = 8, .label = -1, .sub = 4, .key = "a/\xff.jpg", .path = "x/a.tar", .offset = 512, .length = 77}},
        {.type = TW_DONE, .session = 7, .pos = 1, .lease = 9, .crc = UINT32_MAX, .bytes = 633000},
        {.type = TW_FAIL, .session = 7, .pos = 1, .lease = 9, .code = TW_FAIL_IO, .text = "No such file"},
        {.type = TW_PING, .session = 7, .slots = 0, .held = 3, .done = 4, .failed = 5},
        {.type = TW_PONG, .session = 7, .pos = 3},
        {.type = TW_BYE, .session = 7, .text = "all is done"},
        {.type = TW_READY, .session = 7},
        {.type = TW_ASK},
        {.type = TW_TELL},
    };
    tw_rng r;
    tw_rng_init(&r, 2, TW_USE_SYNTH, 2, 0, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        tw_bytes out = {0}, again = {0};
        tw_feed_msg m;
        char text[TW_FEED_CONTROL + 8];
        CHECK(tw_feed_encode(&out, &all[i]) == 0);
        CHECK(tw_feed_decode(&m, text, out.data, out.size) == 0 && m.type == all[i].type);
        CHECK(tw_feed_encode(&again, &m) == 0 && again.size == out.size && memcmp(again.data, out.data, out.size) == 0);
        for (size_t n = 0; n < out.size; n++) { /* every prefix, in a block of its size */
            unsigned char *part = malloc(n + 1);
            memcpy(part, out.data, n);
            CHECK(tw_feed_decode(&m, text, part, n) != 0);
            free(part);
        }
        for (int k = 0; k < 2000; k++) {
            unsigned char d[8192];
            memcpy(d, out.data, out.size);
            const size_t n = mutate(d, out.size, sizeof d, &r);
            unsigned char *part = malloc(n + 1);
            memcpy(part, d, n);
            if (tw_feed_decode(&m, text, part, n) == 0) {
                again.size = 0;
                CHECK(tw_feed_encode(&again, &m) == 0);
            }
            free(part);
        }
        free(out.data);
        free(again.data);
    }
    /* limits: at them, and one beyond */
    tw_bytes out = {0};
    tw_feed_msg m;
    char text[TW_FEED_CONTROL + 8];
    CHECK(tw_feed_encode(&out, &(tw_feed_msg){.type = TW_HELLO, .protocol = 1, .text = "", .name = "", .slots = TW_FEED_SLOTS + 1}) == 0);
    CHECK(tw_feed_decode(&m, text, out.data, out.size) != 0);
    unsigned char big[TW_FEED_CONTROL + 1] = {0x91, TW_ASK};
    CHECK(tw_feed_decode(&m, text, big, sizeof big) != 0);
    CHECK(tw_feed_decode(&m, text, (const unsigned char *)"\xdd\x00\xff\xff\xff", 5) != 0);
    CHECK(tw_feed_decode(&m, text, (const unsigned char *)"\xdd\xff\xff\xff\xff\x0b", 6) != 0);
    free(out.data);
}

static tw_bytes header(tw_kind kind, uint64_t seed, const char *line)
{
    tw_bytes b = {0};
    const tw_header h = {.kind = kind, .samples = 9, .epochs = 2, .seed = seed, .n_classes = -1, .n_history = line != NULL, .history = &line};
    CHECK(tw_encode_header(&b, &h) == 0);
    return b;
}

static void agreement(void)
{
    char room[600];
    tw_bytes a = header(TW_VIEWS, 1, "twist-augment --aug=barlow -j 4");
    const struct {
        tw_bytes b;
        bool same;
    } t[] = {
        {header(TW_VIEWS, 1, "/opt/bin/twist-augment -q --aug=barlow -j16 --log=x"), true},
        {header(TW_VIEWS, 1, "twist-augment --aug=barlow --jobs=3 -v"), true},
        {header(TW_VIEWS, 1, "twist-augment --aug=moco -j 4"), false},
        {header(TW_VIEWS, 1, "twist-augment --aug=barlow --size=3"), false},
        {header(TW_VIEWS, 2, "twist-augment --aug=barlow -j 4"), false},
        {header(TW_VIEWS, 1, NULL), false},
        {header(TW_IMAGES, 1, "twist-augment --aug=barlow -j 4"), false},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        CHECK((tw_feed_agree(room, sizeof room, a.data, a.size, t[i].b.data, t[i].b.size) == NULL) == t[i].same);
        free(t[i].b.data);
    }
    CHECK(tw_feed_agree(room, sizeof room, a.data, a.size, a.data, a.size - 1) != NULL);
    free(a.data);
}

int main(void)
{
    messages();
    agreement();
    schedules();
    return test_done();
}
