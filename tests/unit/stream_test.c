/* Goal: a stream says exactly what was written, or is refused with a message: encoding, crc, limits, cuts, corruption, commands. */
#include "test.h"

#include "core/crc32c.h"
#include "core/file.h"
#include "stream/msg.h"
#include "stream/reader.h"
#include "stream/writer.h"

#include <signal.h>
#include <msgpack/unpack.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/twist-stream-XXXXXX";
static char path[64]; /* of the stream under test */

/* A new file each time: some file systems sync one that is truncated and written again. */
static bool put_bytes(const void *data, size_t size)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    return f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0;
}

static void put_file(const void *data, size_t size)
{
    CHECK(put_bytes(data, size));
}

/* Reads all of the endpoint. Its samples, or -1 and tw_error(). */
static int64_t read_all(const char *endpoint)
{
    tw_sample s;
    int64_t n = 0;
    int rc = -1;
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open(endpoint, NULL, NULL);
    if (r != NULL)
        while ((rc = tw_reader_next(r, &s)) == 1)
            n++;
    tw_reader_close(r);
    tw_sample_fini(&s);
    return rc == 0 ? n : -1;
}

static bool says(const char *text)
{
    const bool found = strstr(tw_error(), text) != NULL;
    if (!found)
        printf("want '%s' in: %s\n", text, tw_error());
    return found;
}

/* The published check value, and the instruction against the tables at every length and alignment that matters. */
static void checksum(void)
{
    static unsigned char data[5000];
    int differ = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 2654435761u >> 13);
    CHECK(tw_crc32c(0, "123456789", 9) == 0xe3069283u);
    CHECK(tw_crc32c_portable(0, "123456789", 9) == 0xe3069283u);
    CHECK(tw_crc32c(0, "", 0) == 0);
    for (size_t n = 0; n < 4900; n += n < 70 ? 1 : 61)
        for (size_t from = 0; from < 9; from++)
            differ += tw_crc32c(7, data + from, n) != tw_crc32c_portable(7, data + from, n);
    CHECK(differ == 0);
    const uint32_t part = tw_crc32c(0, data, 1234);
    CHECK(tw_crc32c(part, data + 1234, 3000) == tw_crc32c(0, data, 4234));
}

/* Heads of every type by the examples of the msgpack specification. */
static void heads(void)
{
    static const struct {
        const char *bytes;
        int size;
        tw_msg_type type;
        int64_t value;
    } want[] = {
        {"\x05", 1, TW_MSG_UINT, 5},           {"\xff", 1, TW_MSG_INT, -1},           {"\xe0", 1, TW_MSG_INT, -32},
        {"\xcc\xff", 2, TW_MSG_UINT, 255},     {"\xcd\x01\x00", 3, TW_MSG_UINT, 256}, {"\xd0\x80", 2, TW_MSG_INT, -128},
        {"\xd1\xff\x00", 3, TW_MSG_INT, -256}, {"\xd0\x10", 2, TW_MSG_UINT, 16},      {"\xd2\x80\x00\x00\x00", 5, TW_MSG_INT, INT32_MIN},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, TW_MSG_INT, INT64_MIN},           {"\xc3", 1, TW_MSG_BOOL, 1},
        {"\x8f", 1, TW_MSG_MAP, 15},           {"\xde\x01\x02", 3, TW_MSG_MAP, 258},  {"\xdd\x00\x00\x00\x07", 5, TW_MSG_ARRAY, 7},
        {"\xbf", 1, TW_MSG_STR, 31},           {"\xda\x01\x00", 3, TW_MSG_STR, 256},  {"\xc4\x09", 2, TW_MSG_BIN, 9},
        {"\xd8", 1, TW_MSG_EXT, 17},           {"\xc7\x03", 2, TW_MSG_EXT, 4},        {"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9, TW_MSG_UINT, (int64_t)1 << 32},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        tw_msg m = {.i = 0};
        CHECK(tw_msg_head(&m, (const unsigned char *)want[i].bytes, (size_t)want[i].size) == want[i].size);
        CHECK(m.type == want[i].type && (m.type == TW_MSG_BOOL ? m.yes : m.i) == want[i].value);
        CHECK(tw_msg_head(&m, (const unsigned char *)want[i].bytes, (size_t)want[i].size - 1) == 0);
    }
    tw_msg m;
    CHECK(tw_msg_head(&m, (const unsigned char *)"\xca\xbf\x80\x00\x00", 5) == 5 && m.f == -1.0);
    CHECK(tw_msg_head(&m, (const unsigned char *)"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", 9) == 9 && m.f == 0.5);
    CHECK(tw_msg_head(&m, (const unsigned char *)"\xc1", 1) == -1);
}

enum { SIDE = 120 }; /* a view of 43,200 bytes is written by reference, one of 4 x 4 is copied */
static unsigned char pixels[SIDE * SIDE * 3];
static float numbers[5] = {1, -2, 0.5f, 1e30f, -0.0f};

static tw_sample full_sample(tw_tensor views[3], int64_t index)
{
    tw_sample s;
    tw_sample_init(&s);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(i * 7 + i / 360);
    views[0] = views[1] = (tw_tensor){TW_U8, 3, {SIDE, SIDE, 3}, pixels};
    views[2] = (tw_tensor){TW_U8, 3, {4, 4, 3}, pixels + 100};
    s.key = "a/\xff.jpg"; /* file names need not be UTF-8 */
    s.key_size = 7;
    s.index = index;
    s.epoch = 3;
    s.pos = index + 1000;
    s.label = index % 2 == 0 ? 4 : -1;
    s.sub = index % 3 == 0 ? 9 : -1;
    s.views = views;
    s.n_views = 3;
    s.image = (tw_tensor){TW_U8, 3, {2, 5, 3}, pixels + 7};
    s.features = (tw_tensor){TW_F32, 1, {5}, numbers};
    s.bytes = "undecoded";
    s.bytes_size = 9;
    s.trace = "\x91\x81\xa4" "flip\xc3";
    s.trace_size = 8;
    s.extra = "\xa2" "u1\x01\xa2" "u2\xc0";
    s.extra_size = 8;
    s.n_extra = 2;
    return s;
}

static tw_header full_header(void)
{
    static const char *classes[] = {"cat", "dog"}, *history[] = {"one"};
    return (tw_header){.kind = TW_VIEWS, .samples = 7, .epochs = 2, .first_epoch = 3, .seed = UINT64_MAX, .n_classes = 2, .classes = classes,
                       .data_checksum = 0xfedcba98, .n_history = 1, .history = history, .extra = "\xa1x\x2a", .extra_size = 3, .n_extra = 1};
}

static bool same_tensor(const tw_tensor *a, const tw_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0 &&
           memcmp(a->data, b->data, (size_t)tw_tensor_bytes(a)) == 0;
}

static bool same_sample(const tw_sample *a, const tw_sample *b)
{
    bool same = a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0 && a->index == b->index && a->epoch == b->epoch &&
                a->pos == b->pos && a->label == b->label && a->sub == b->sub && a->n_views == b->n_views && a->n_extra == b->n_extra &&
                a->extra_size == b->extra_size && memcmp(a->extra, b->extra, a->extra_size) == 0 && a->trace_size == b->trace_size &&
                memcmp(a->trace, b->trace, a->trace_size) == 0 && a->bytes_size == b->bytes_size &&
                memcmp(a->bytes, b->bytes, a->bytes_size) == 0 && same_tensor(&a->image, &b->image) &&
                same_tensor(&a->features, &b->features) && a->logits.data == NULL && b->logits.data == NULL;
    for (int i = 0; same && i < a->n_views; i++)
        same = same_tensor(&a->views[i], &b->views[i]);
    return same;
}

/* What was written comes back, by whichever of the two ways it was written, and the bytes are the same both ways. */
static void round_trip(void)
{
    const tw_header h = full_header();
    tw_tensor views[3];
    size_t size[2];
    char *text[2];
    for (int encoded = 0; encoded < 2; encoded++) {
        tw_writer *w = tw_writer_open(path, &h, "two");
        CHECK(w != NULL && access(path, F_OK) == (encoded ? 0 : -1)); /* appears when complete */
        for (int64_t i = 0; i < 7; i++) {
            const tw_sample s = full_sample(views, i);
            tw_bytes b = {0};
            CHECK(tw_encode_sample(&b, &s) == 0);
            CHECK((encoded ? tw_writer_encoded(w, b.data, b.size) : tw_writer_sample(w, &s)) == 0);
            free(b.data);
        }
        CHECK(tw_writer_finish(w, 11) == 0);
        text[encoded] = tw_file_read(path, &size[encoded], 0);
    }
    CHECK(size[0] == size[1] && memcmp(text[0], text[1], size[0]) == 0);
    free(text[0]);
    free(text[1]);

    tw_reader *r = tw_reader_open(path, NULL, NULL);
    CHECK(r != NULL);
    const tw_header *g = tw_reader_header(r);
    CHECK(g->kind == TW_VIEWS && g->samples == 7 && g->epochs == 2 && g->first_epoch == 3 && g->seed == UINT64_MAX && g->data_checksum == 0xfedcba98);
    CHECK(g->n_classes == 2 && strcmp(g->classes[1], "dog") == 0 && g->n_history == 2 && strcmp(g->history[1], "two") == 0);
    CHECK(g->n_extra == 1 && g->extra_size == 3 && memcmp(g->extra, "\xa1x\x2a", 3) == 0);
    tw_sample s;
    tw_sample_init(&s);
    for (int64_t i = 0; i < 7; i++) {
        CHECK(tw_reader_next(r, &s) == 1);
        const tw_sample want = full_sample(views, i);
        CHECK(same_sample(&s, &want));
    }
    CHECK(tw_reader_next(r, &s) == 0 && tw_reader_next(r, &s) == 0); /* and stays at its end */
    CHECK(tw_reader_end(r)->samples == 7 && tw_reader_end(r)->skipped == 11);
    tw_reader_close(r);
    tw_sample_fini(&s);
}

/* msgpack-c as the judge: a record is one map with the keys that were meant, tensors with bin keys. */
static void as_others_see_it(void)
{
    tw_tensor views[3];
    const tw_sample s = full_sample(views, 0);
    tw_bytes b = {0};
    msgpack_unpacked u;
    size_t at = 0;
    CHECK(tw_encode_sample(&b, &s) == 0);
    msgpack_unpacked_init(&u);
    CHECK(msgpack_unpack_next(&u, (const char *)b.data, b.size, &at) == MSGPACK_UNPACK_SUCCESS && at == b.size);
    const msgpack_object_map m = u.data.via.map;
    static const char *const keys[] = {"key", "index", "epoch", "pos", "label", "sub", "bytes", "image", "views", "features", "trace", "u1", "u2", "crc"};
    CHECK(m.size == sizeof keys / sizeof *keys);
    for (size_t i = 0; i < m.size; i++)
        CHECK(m.ptr[i].key.type == MSGPACK_OBJECT_STR && strncmp(m.ptr[i].key.via.str.ptr, keys[i], m.ptr[i].key.via.str.size) == 0);
    const msgpack_object_map image = m.ptr[7].val.via.map;
    CHECK(image.size == 5 && image.ptr[0].key.type == MSGPACK_OBJECT_BIN && image.ptr[0].val.via.boolean);
    CHECK(image.ptr[4].val.type == MSGPACK_OBJECT_BIN && image.ptr[4].val.via.bin.size == 30);
    CHECK(m.ptr[m.size - 1].val.via.u64 == tw_crc32c_portable(0, b.data, b.size - 9));
    msgpack_unpacked_destroy(&u);
    tw_sample bad = s;
    bad.index = -1;
    CHECK(tw_encode_sample(&b, &bad) == -1 && says("index"));
    free(b.data);
}

/* Every prefix of a stream is refused; so is every changed byte, unless it means the same (a letter of the key "crc" itself
 * changed leaves a record without a checksum and with an unknown field). */
static void cut_and_corrupted(void)
{
    for (int kind = TW_FILES; kind <= TW_FEATURES; kind++) {
        char from[64];
        size_t size;
        int accepted = 0, changed = 0;
        snprintf(from, sizeof from, "formats/%s.tws", tw_kind_names[kind]);
        unsigned char *d = tw_file_read(from, &size, 0);
        CHECK(d != NULL && read_all(from) == 3);
        for (size_t n = 0; n < size; n++)
            accepted += !put_bytes(d, n) || read_all(path) >= 0 || strstr(tw_error(), path) == NULL;
        CHECK(accepted == 0);
        for (size_t i = 0; i < size; i++)
            for (int k = 0; k < 4; k++) {
                static const unsigned char flip[] = {0x01, 0x10, 0x80, 0xff};
                bool in_key = false;
                for (size_t at = i < 4 ? 0 : i - 4; at <= i && at + 5 <= size; at++)
                    in_key = in_key || memcmp(d + at, "\xa3" "crc\xce", 5) == 0;
                d[i] ^= flip[k];
                changed += !put_bytes(d, size) || (read_all(path) >= 0 && !in_key);
                d[i] ^= flip[k];
            }
        CHECK(changed == 0);
        free(d);
    }
}

#define HEADER "\x82\xa5twist\x01\xa4kind\xa5" "files"
#define SAMPLE "\x83\xa3key\xa1k\xa5index\x00\xa5" "bytes\xc4\x01z"
#define END "\x82\xa3" "end\xc3\xa7samples\x01"

/* Bytes that break one rule each, and what the message must name. */
static void rules(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } bad[] = {
#define CASE(text, message) {text, sizeof(text) - 1, message}
        CASE("", "empty"),
        CASE("hello", "record 0 at byte 0: byte 0: not a map"),
        CASE("\xc1", "0xc1"),
        CASE("\x81\x01\x01", "not a string"),
        CASE("\x80", "record 0"),
        CASE("\x82\xa5twist\x02\xa4kind\xa5" "files", "version 2"),
        CASE("\x81\xa4kind\xa5" "files", "twist"),
        CASE("\x82\xa5twist\x01\xa4kind\xa5" "tiles", "kind"),
        CASE("\x81\xa5twist\x01", "kind: missing"),
        CASE("\x83\xa5twist\x01\xa4kind\xa5" "files\xa7" "classes\x91\xa3" "a\x00" "b", "NUL"),
        CASE(HEADER, "end record"),
        CASE(HEADER SAMPLE, "end record, after 1 samples"),
        CASE(HEADER END, "counts 1 samples, 0 were read"),
        CASE(HEADER SAMPLE END "\x00", "data after the end record"),
        CASE(HEADER SAMPLE HEADER END, "record 2"),
        CASE(HEADER "\x81\xa3" "end\xc2", "end: want true"),
        CASE(HEADER "\x81\xa3" "end\xc3", "samples: missing"),
        CASE(HEADER "\x82\xa3key\xa1k\xa5" "bytes\xc4\x00", "index: missing"),
        CASE(HEADER "\x83\xa3key\xa1k\xa5index\xff\xa5" "bytes\xc4\x00", "index"),
        CASE(HEADER "\x83\xa3key\xa1k\xa5index\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa5" "bytes\xc4\x00", "index"),
        CASE(HEADER "\x83\xa3key\x01\xa5index\x00\xa5" "bytes\xc4\x00", "key: want a string"),
        CASE(HEADER "\x83\xa3key\xa1k\xa5index\x00\xa3key\xa1k", "key: comes twice"),
        CASE(HEADER "\x82\xa3key\xa1k\xa5index\x00", "without bytes"),
        CASE(HEADER "\x84\xa3key\xa1k\xa5index\x00\xa3" "crc\x00\xa5" "bytes\xc4\x00", "crc: not the last"),
        CASE(HEADER "\x84\xa3key\xa1k\xa5index\x00\xa5" "bytes\xc4\x00\xa3" "crc\x01", "changed on the way"),
        CASE(HEADER "\xdf\xff\xff\xff\xff", "4294967295 keys"),
        CASE(HEADER "\xde\x00\x41", "65 keys"),
        CASE(HEADER "\x81\xa1x\xdd\xff\xff\xff\xff", "array of 4294967295"),
        CASE(HEADER "\x81\xa1x\xc6\xff\xff\xff\xff", "4294967295 bytes"),
        CASE(HEADER "\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91", "deeper than 8"),
        CASE(HEADER "\x81\xa1x\x81\x90\x00", "neither string"),
#undef CASE
    };
    char where[96];
    CHECK(read_all("/dev/null") == -1 && says("/dev/null: empty"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file(bad[i].bytes, bad[i].size);
        CHECK(read_all(path) == -1 && says(bad[i].message) && says(path));
    }
    snprintf(where, sizeof where, "%s: record 2 at byte %zu: ", path, sizeof HEADER SAMPLE - 1);
    put_file(HEADER SAMPLE "\x80", sizeof HEADER SAMPLE);
    CHECK(read_all(path) == -1 && says(where));
    put_file(HEADER SAMPLE END, sizeof HEADER SAMPLE END - 1);
    CHECK(read_all(path) == 1);
}

#define TENSOR(type, shape, data) "\x83\xa3key\xa1k\xa5index\x00\xa5image\x85\xc4\x02nd\xc3\xc4\x04type" type "\xc4\x04kind\xc4\x00\xc4\x05shape" shape "\xc4\x04" "data\xc4" data

/* Tensors: what is no u8 [H,W,3] with just its bytes is refused; str keys and a bin type are as good as msgpack-numpy's own. */
static void tensors(void)
{
#define IMAGES "\x82\xa5twist\x01\xa4kind\xa6images"
    static const struct {
        const char *bytes;
        size_t size;
        const char *message; /* NULL: good */
    } c[] = {
#define CASE(text, message) {IMAGES text END, sizeof(IMAGES text END) - 1, message}
        CASE(TENSOR("\xa3|u1", "\x93\x01\x01\x03", "\x03" "abc"), NULL),
        CASE(TENSOR("\xc4\x03|u1", "\x93\x01\x01\x03", "\x03" "abc"), NULL),
        CASE("\x83\xa3key\xa1k\xa5index\x00\xa5image\x84\xa2nd\xc3\xa4type\xa3|u1\xa5shape\x93\x01\x01\x03\xa4" "data\xc4\x03" "abc", NULL),
        CASE(TENSOR("\xa3|i1", "\x93\x01\x01\x03", "\x03" "abc"), "type '|u1'"),
        CASE(TENSOR("\xa3<f4", "\x93\x01\x01\x03", "\x03" "abc"), "type '|u1'"),
        CASE(TENSOR("\xa3|u1", "\x93\x01\x01\x03", "\x02" "ab"), "wants 3 bytes"),
        CASE(TENSOR("\xa3|u1", "\x93\x01\x03\x01", "\x03" "abc"), "3 channels"),
        CASE(TENSOR("\xa3|u1", "\x92\x01\x03", "\x03" "abc"), "rank 3"),
        CASE(TENSOR("\xa3|u1", "\x99\x01\x01\x01\x01\x01\x01\x01\x01\x03", "\x03" "abc"), "at most 8"),
        CASE(TENSOR("\xa3|u1", "\x93\x00\x01\x03", "\x00"), "dimension 0 is 0"),
        CASE(TENSOR("\xa3|u1", "\x93\xcf\x40\x00\x00\x00\x00\x00\x00\x00\x04\x03", "\x03" "abc"), "out of range"),
        CASE("\x83\xa3key\xa1k\xa5index\x00\xa5image\xc4\x03" "abc", "want a tensor"),
        CASE("\x83\xa3key\xa1k\xa5index\x00\xa5image\x80", "msgpack-numpy"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        put_file(c[i].bytes, c[i].size);
        const int64_t n = read_all(path);
        CHECK(c[i].message == NULL ? n == 1 : n == -1 && says(c[i].message) && says("image"));
    }
}

/* No record is made that nobody would read. */
static void largest(void)
{
    const size_t most = (size_t)TW_MOST_RECORD + 4096;
    uint8_t *zeros = mmap(NULL, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(zeros != MAP_FAILED);
    tw_parts p = {0};
    for (int over = 0; over < 2; over++) {
        const tw_sample s = {.key = "k", .key_size = 1, .sub = -1, .image = {TW_U8, 3, {1, over ? 357913942 : 357913900, 3}, zeros}};
        CHECK(over ? tw_parts_sample(&p, &s) != 0 && says("a record of 1073741") : tw_parts_sample(&p, &s) == 0);
    }
    tw_parts_fini(&p);
    munmap(zeros, most);
}

/* Nor any of more keys, or a header of more bytes, than readers take: a sample has six here, a header nine. */
static void most_keys(void)
{
    enum { KEYS = 59, NAME = 4 };
    char extra[KEYS * NAME], *const long_name = calloc(1, TW_MOST_HEADER + 1);
    const char *const history[] = {long_name};
    tw_bytes out = {0};
    if (long_name == NULL)
        exit(1);
    for (int i = 0; i < KEYS; i++)
        memcpy(extra + (size_t)i * NAME, (char[]){'\xa2', (char)('0' + i / 10), (char)('0' + i % 10), '\1'}, NAME);
    for (int more = 0; more < 2; more++) {
        const tw_sample s = {.key = "k", .key_size = 1, .sub = -1, .bytes = "b", .bytes_size = 1, .extra = extra,
                             .extra_size = (size_t)(57 + more) * NAME, .n_extra = 57 + more};
        const tw_header h = {.epochs = 1, .n_classes = -1, .extra = extra, .extra_size = (size_t)(55 + more) * NAME, .n_extra = 55 + more};
        CHECK(tw_encode_sample(&out, &s) == -more && tw_encode_header(&out, &h) == -more);
        CHECK(!more || says("a record of 65 keys; one has at most 64"));
    }
    memset(long_name, 'x', TW_MOST_HEADER);
    tw_header h = {.epochs = 1, .n_classes = -1, .history = (const char **)history, .n_history = 1};
    CHECK(tw_encode_header(&out, &h) != 0 && says("one has at most 67108864"));
    long_name[TW_MOST_HEADER - 200] = '\0';
    CHECK(tw_encode_header(&out, &h) == 0);
    free(long_name);
    free(out.data);
}

/* Unknown fields in three places come back side by side, in their order. */
static void scattered_extras(void)
{
    static const char text[] = HEADER "\x86\xa1" "a\x01\xa3key\xa1k\xa1" "b\x91\xc0\xa5index\x05\xa5" "bytes\xc4\x01z\xa1" "c\xa1x"
                               "\x82\xa3" "end\xc3\xa7samples\x01";
    put_file(text, sizeof text - 1);
    tw_sample s;
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open(path, NULL, NULL);
    CHECK(r != NULL && tw_reader_next(r, &s) == 1);
    CHECK(s.n_extra == 3 && s.extra_size == 11 && memcmp(s.extra, "\xa1" "a\x01\xa1" "b\x91\xc0\xa1" "c\xa1x", 11) == 0);
    CHECK(s.index == 5 && s.epoch == 0 && s.label == -1 && memcmp(s.key, "k", 1) == 0);
    CHECK(tw_reader_next(r, &s) == 0);
    tw_reader_close(r);
    tw_sample_fini(&s);
}

/* The process of that number ends within two seconds. */
static void check_ended(const char *number)
{
    CHECK(number != NULL && atoi(number) > 0);
    bool alive = true;
    for (int i = 0; i < 200 && number != NULL && alive; i++) {
        alive = kill(atoi(number), 0) == 0;
        usleep(10000);
    }
    CHECK(!alive);
}

static void commands(void)
{
    char command[200];
    const tw_place place = {2, 8, 30, 4000000000};
    CHECK(read_all("pipe:cat formats/views.tws") == 3);
    CHECK(read_all("pipe:cat formats/views.tws; exit 3") == -1 && says("status 3") && says("pipe:cat"));
    CHECK(read_all("pipe:exit 4") == -1 && says("status 4"));
    CHECK(read_all("pipe:kill -9 $$") == -1 && says("signal 9"));
    CHECK(read_all("pipe:head -c 500 formats/views.tws") == -1 && says("truncated at byte 500"));
    snprintf(command, sizeof command, "pipe:echo %%r %%n %%e %%s %%%% %%x > %s; cat formats/files.tws", path);
    tw_reader *r = tw_reader_open(command, NULL, &place);
    CHECK(r != NULL);
    tw_reader_close(r);
    size_t size;
    char *text = tw_file_read(path, &size, 0);
    CHECK(text != NULL && strcmp(text, "2 8 30 4000000000 % %x\n") == 0);
    free(text);
    /* a command that would run on, and what it started, end with the reader */
    snprintf(command, sizeof command, "pipe:cat formats/files.tws; sh -c 'echo $$ > %s; exec sleep 600'", path);
    unlink(path);
    r = tw_reader_open(command, NULL, NULL);
    CHECK(r != NULL);
    text = NULL;
    for (int i = 0; i < 1000 && text == NULL; i++) { /* until the command has written its number there */
        usleep(10000);
        text = tw_file_read(path, &size, 0);
        if (text != NULL && size == 0) {
            free(text);
            text = NULL;
        }
    }
    tw_reader_close(r);
    check_ended(text);
    free(text);
}

/* A command that cannot be started again: the reader says so, again and again. */
static void not_again(void)
{
    static const char script[] = "#!/bin/sh\nhead -c 500 formats/views.tws; kill -9 $$\n";
    char program[64], command[96];
    snprintf(program, sizeof program, "%s/twist-feed", folder);
    snprintf(command, sizeof command, "pipe:%s head %%e %%s", program);
    FILE *f = fopen(program, "w");
    CHECK(f != NULL && fwrite(script, 1, sizeof script - 1, f) == sizeof script - 1 && fclose(f) == 0 && chmod(program, 0700) == 0);
    tw_sample s;
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open(command, NULL, NULL);
    CHECK(r != NULL);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t before = limit.rlim_cur;
    const int free_one = dup(0);
    close(free_one);
    limit.rlim_cur = (rlim_t)free_one; /* a pipe wants one more than the reader has */
    setrlimit(RLIMIT_NOFILE, &limit);
    int rc = 0;
    while (r != NULL && (rc = tw_reader_next(r, &s)) == 1)
        ;
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(rc == -1 && says("Too many open files"));
    CHECK(strcmp(tw_reader_name(r), command) == 0);
    CHECK(tw_reader_next(r, &s) == -1 && says("Too many open files"));
    tw_reader_close(r);
    tw_sample_fini(&s);
    unlink(program);
}

/* A part of a command that passes over SIGTERM ends with the reader too. */
static void stubborn(void)
{
    char command[200];
    snprintf(command, sizeof command, "pipe:trap '' TERM; cat formats/files.tws; sh -c 'echo $$ > %s; exec sleep 600' & trap - TERM; wait", path);
    unlink(path);
    tw_reader *r = tw_reader_open(command, NULL, NULL);
    CHECK(r != NULL);
    size_t size = 0;
    char *text = NULL;
    for (int i = 0; i < 1000 && size == 0; i++) {
        usleep(10000);
        free(text);
        text = tw_file_read(path, &size, 0);
    }
    tw_reader_close(r);
    check_ended(text);
    free(text);
}

static void endpoints(void)
{
    const tw_header h = full_header();
    CHECK(tw_reader_open("tcp://nowhere", NULL, NULL) == NULL && says("tcp://nowhere: at which port?"));
    CHECK(tw_writer_open("@ipc:///nonexistent/x", &h, NULL) == NULL && says("@ipc:///nonexistent/x: cannot listen there"));
    CHECK(tw_writer_open("pipe:cat", &h, NULL) == NULL && says("pipe:cat"));
    CHECK(tw_reader_open("/nonexistent", NULL, NULL) == NULL && says("/nonexistent: No such file"));
    CHECK(tw_reader_open("/", NULL, NULL) == NULL && says("/: Is a directory"));
    CHECK(tw_writer_open("/nonexistent/x", &h, NULL) == NULL && says("/nonexistent/x"));
    tw_writer *w = tw_writer_open("/dev/full", &h, NULL);
    CHECK(w == NULL && says("/dev/full: No space left"));
    const tw_limits deep = {1 << 20, 64, 65};
    CHECK(tw_reader_open("formats/files.tws", &deep, NULL) == NULL && says("limits"));
    const tw_limits narrow = {60, 64, 8};
    CHECK(tw_reader_open("formats/files.tws", &narrow, NULL) == NULL && says("60"));
    /* an abandoned file leaves nothing behind, and the one that stood there stands */
    put_file("old", 3);
    w = tw_writer_open(path, &h, NULL);
    CHECK(w != NULL);
    tw_writer_abandon(w);
    size_t size;
    char *text = tw_file_read(path, &size, 0);
    CHECK(text != NULL && strcmp(text, "old") == 0);
    free(text);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/s.tws", folder);
    checksum();
    heads();
    round_trip();
    as_others_see_it();
    cut_and_corrupted();
    rules();
    tensors();
    largest();
    most_keys();
    scattered_extras();
    commands();
    not_again();
    stubborn();
    endpoints();
    unlink(path);
    CHECK(rmdir(folder) == 0);
    return test_done();
}
