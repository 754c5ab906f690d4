/* Goal: of well-formed baseline JPEGs our decoder of Huffman codes takes each, and the pixels are those of libjpeg-turbo alone; of damaged
 * ones it leaves all to the library that the library would decode otherwise or warn of; and tw_image_decode gives either way what the
 * library gives. */
#include "../fuzz/huffman_fuzz.c"

#include "image/decode.h"
#include "mutate.h"
#include "test.h"

static tw_rng rng;

typedef struct {
    int w, h, components, across, down; /* samples of the first component to one of another */
    int quality;
    unsigned restart;
    bool best_codes;
    double noise; /* 0: smooth, 1: nothing but noise */
    bool progressive;
} picture;

static uint8_t *make(const picture *p, size_t *size)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = (JDIMENSION)p->w;
    c.image_height = (JDIMENSION)p->h;
    c.input_components = p->components;
    c.in_color_space = p->components == 1 ? JCS_GRAYSCALE : p->components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, p->quality, TRUE);
    c.comp_info[0].h_samp_factor = p->across;
    c.comp_info[0].v_samp_factor = p->down;
    c.restart_interval = p->restart;
    c.optimize_coding = p->best_codes;
    if (p->progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    uint8_t *row = malloc((size_t)p->w * (size_t)p->components);
    for (int y = 0; y < p->h; y++) {
        for (int i = 0; i < p->w * p->components; i++)
            row[i] = (uint8_t)((1 - p->noise) * ((i * 2 + y * 3) % 256) + p->noise * (double)tw_rng_below(&rng, 256));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    uint8_t *own = malloc(n);
    memcpy(own, bytes, n);
    free(bytes);
    *size = n;
    return own;
}

static void well_formed(void)
{
    static const int sizes[][2] = {{1, 1}, {8, 8}, {17, 23}, {200, 150}};
    static const int qualities[] = {3, 40, 75, 92, 100};
    static const int samplings[][2] = {{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}};
    static const double noises[] = {0, 0.1, 1};
    for (int i = 0; i < 4 * 5 * 5 * 3 * 4; i++) {
        picture p = {0};
        const int k = i / 4;
        p.w = sizes[k % 4][0], p.h = sizes[k % 4][1];
        p.quality = qualities[k / 4 % 5];
        p.across = samplings[k / 20 % 5][0], p.down = samplings[k / 20 % 5][1];
        p.noise = noises[k / 100];
        p.components = i % 4 == 3 ? 4 : i % 4 == 2 ? 1 : 3;
        p.best_codes = i % 2 == 1;
        p.restart = i % 3 == 0 ? 1 + (unsigned)(k % 7) : 0;
        size_t size;
        uint8_t *jpeg = make(&p, &size);
        CHECK(compare(jpeg, size, 1) == DONE);
        CHECK(compare(jpeg, size, i % 2 == 0 ? 2 : 8) == DONE);
        free(jpeg);
    }
}

/* The first byte of the codes. */
static size_t codes_at(const uint8_t *jpeg)
{
    size_t at = 2;
    while (jpeg[at + 1] != 0xda)
        at += 2 + ((size_t)jpeg[at + 2] << 8 | jpeg[at + 3]);
    return at + 2 + ((size_t)jpeg[at + 2] << 8 | jpeg[at + 3]);
}

static void damaged_by_rule(void)
{
    const picture p = {200, 150, 3, 2, 2, 92, 5, false, 0.1, false};
    size_t size;
    uint8_t *jpeg = make(&p, &size), *d = malloc(size + 64);
    const size_t codes = codes_at(jpeg);
    size_t marker = codes;
    while (jpeg[marker] != 0xff || jpeg[marker + 1] != 0xd0)
        marker++;
    CHECK(compare(jpeg, size, 1) == DONE);
    memcpy(d, jpeg, size);
    d[marker + 1] = 0xd1; /* another number */
    CHECK(compare(d, size, 1) == IRREGULAR);
    d[marker + 1] = 0x00; /* no marker at all */
    CHECK(compare(d, size, 1) == IRREGULAR);
    CHECK(compare(jpeg, size - 2, 1) == IRREGULAR); /* no end */
    CHECK(compare(jpeg, size / 2, 1) == IRREGULAR);
    memcpy(d, jpeg, size);
    memcpy(d + size - 2, "\1\2\3\xff\xd9", 5); /* bytes left over */
    CHECK(compare(d, size + 3, 1) == IRREGULAR);
    memcpy(d, jpeg, size);
    memset(d + codes, 0x7f, 40); /* no such codes, or too many coefficients */
    CHECK(compare(d, size, 1) == IRREGULAR);
    free(jpeg);
    free(d);
}

static void not_taken(void)
{
    const picture p = {64, 64, 3, 2, 2, 75, 0, false, 0, true};
    size_t size;
    uint8_t *jpeg = make(&p, &size);
    CHECK(compare(jpeg, size, 1) == NOT_TAKEN);
    free(jpeg);
}

static void count(void *context, size_t bytes)
{
    *(int *)context += bytes > 0;
}

/* tw_image_decode against the library alone; keep: what it had decoded before it refused the rest, and black below. */
static bool same_as_library(const uint8_t *d, size_t n, bool keep)
{
    static decoded library;
    int claims = 0;
    tw_image m = {0};
    tw_decode_options o = TW_DECODE_DEFAULT;
    o.keep_truncated = keep;
    o.claim = count;
    o.context = &claims;
    const int how = decode(&library, d, n, 1, false);
    const bool some = keep && how == REFUSED && library.done > 0;
    if (some)
        memset(library.pixels + library.done, 0, library.size - library.done);
    const bool good = some || (how == DONE && (keep || library.errors.num_warnings == 0));
    const int rc = tw_image_decode(&m, d, n, &o);
    const bool same = good == (rc == 0) && (!good || (claims == 1 && memcmp(m.data, library.pixels, library.size) == 0));
    tw_image_fini(&m);
    free(library.pixels);
    return same;
}

static void damaged_by_chance(void)
{
    enum { ROUNDS = 400, ROOM = 64 };
    int seen[4] = {0};
    for (int i = 0; i < 6; i++) {
        const picture p = {200, 150, i % 3 == 2 ? 1 : 3, 1 + i % 2, 1 + i % 2, 92, i < 3 ? 0 : 9, i % 2 == 0, 0.2, false};
        size_t size;
        uint8_t *jpeg = make(&p, &size), *d = malloc(size + ROOM);
        const size_t codes = codes_at(jpeg);
        for (int k = 0; k < ROUNDS; k++) {
            memcpy(d, jpeg, size);
            const size_t n = codes + mutate(d + codes, size - codes, size - codes + ROOM, &rng);
            seen[compare(d, n, 1)]++;
            CHECK(same_as_library(d, n, k % 2 == 0));
        }
        for (int k = 0; k < ROUNDS; k++) {
            memcpy(d, jpeg, size);
            LLVMFuzzerTestOneInput(d, mutate(d, codes, size, &rng) < codes ? size / 2 : size);
        }
        free(jpeg);
        free(d);
    }
    CHECK(seen[DONE] >= 100 && seen[IRREGULAR] >= 1000);
    printf("of the damaged ones %d regular, %d not\n", seen[DONE], seen[IRREGULAR]);
}

int main(void)
{
    tw_rng_init(&rng, 3, TW_USE_SYNTH, 0, 0, 0);
    well_formed();
    damaged_by_rule();
    not_taken();
    damaged_by_chance();
    return test_done();
}
