/* Goal: safetensors files are read as the Python package wrote them and written so that it reads them; hostile and cut files are
 * refused by name, and a failed write leaves the old file. */
#include "../fuzz/safetensors_fuzz.c"

#include "checkpoint/checkpoint.h"
#include "core/philox.h"
#include "test.h"

static char folder[] = "/tmp/tw-safetensors-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "w");
    MUST(f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static bool same_bytes(const tw_tensor *t, const void *want, size_t size)
{
    return t != NULL && tw_tensor_bytes(t) == (int64_t)size && memcmp(t->data, want, size) == 0;
}

static void reads_python(void)
{
    tw_checkpoint *s = tw_checkpoint_open("tests/golden/checkpoint/types.safetensors");
    CHECK(s != NULL);
    if (s == NULL)
        return;
    const int32_t i32[] = {-3, -2, -1, 0, 1, 2};
    const float f32[] = {-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f};
    const double f64[] = {-0.5, -0.25, 0, 0.25, 0.5, 0.75};
    const uint16_t f16[] = {0xb800, 0xb400, 0, 0x3400, 0x3800, 0x3a00}, bf16[] = {0xbf00, 0xbe80, 0, 0x3e80, 0x3f00, 0x3f40};
    int64_t i64[6];
    for (int i = 0; i < 6; i++)
        i64[i] = ((int64_t)i << 40) - 1;
    CHECK(tw_checkpoint_count(s) == 10);
    CHECK(same_bytes(tw_checkpoint_find(s, "u8"), "\0\1\2\3\4\5", 6));
    CHECK(same_bytes(tw_checkpoint_find(s, "i32"), i32, sizeof i32));
    CHECK(same_bytes(tw_checkpoint_find(s, "i64"), i64, sizeof i64));
    CHECK(same_bytes(tw_checkpoint_find(s, "f16"), f16, sizeof f16));
    CHECK(same_bytes(tw_checkpoint_find(s, "bf16"), bf16, sizeof bf16));
    CHECK(same_bytes(tw_checkpoint_find(s, "f32"), f32, sizeof f32));
    CHECK(same_bytes(tw_checkpoint_find(s, "f64"), f64, sizeof f64));
    CHECK(same_bytes(tw_checkpoint_find(s, "scalar"), (int64_t[]){7}, 8));
    CHECK(same_bytes(tw_checkpoint_find(s, "läyer \"1\"\\"), (float[]){1}, 4));
    const tw_tensor *t = tw_checkpoint_find(s, "bf16"), *empty = tw_checkpoint_find(s, "empty");
    CHECK(t->dtype == TW_BF16 && t->rank == 4 && t->dim[0] == 1 && t->dim[1] == 2 && t->dim[2] == 1 && t->dim[3] == 3);
    CHECK(empty != NULL && empty->rank == 2 && empty->dim[0] == 0 && empty->dim[1] == 4);
    CHECK(tw_checkpoint_find(s, "scalar")->rank == 0);
    CHECK(tw_checkpoint_find(s, "nothing") == NULL && tw_checkpoint_meta(s, "nothing") == NULL);
    CHECK(strcmp(tw_checkpoint_meta(s, "backbone"), "resnet18") == 0);
    CHECK(strcmp(tw_checkpoint_meta(s, "quote"), "a \"b\" \\ é\n") == 0);
    const char *key, *value;
    CHECK(tw_checkpoint_meta_at(s, 1, &key, &value) && !tw_checkpoint_meta_at(s, 2, &key, &value));
    tw_checkpoint_close(s);
}

static const float b_weight[] = {0, 0.5f, 1}, a_mean[] = {1, 2};
static const int64_t a_count = 5;
static const tw_named_tensor list[] = {
    {"b.weight", {TW_F32, 1, {3}, b_weight}},
    {"a.count", {TW_I64, 0, {0}, &a_count}},
    {"c.byte", {TW_U8, 1, {3}, "\0\1\2"}},
    {"a.mean", {TW_F32, 2, {1, 2}, a_mean}},
};

/* The bytes of make.py's written.safetensors, which the Python package reads. */
static void writes_for_python(void)
{
    static const char *const meta[][2] = {{"epoch", "3"}, {"args", "{\"lr\": 0.5}"}};
    size_t n = 0, m = 0;
    const char *path = in_folder("written");
    CHECK(tw_safetensors_write(path, list, 4, meta, 2) == 0);
    char *ours = tw_file_read(path, &n, 0), *want = tw_file_read("tests/golden/checkpoint/written.safetensors", &m, 0);
    CHECK(ours != NULL && want != NULL && n == m && memcmp(ours, want, n) == 0);
    tw_checkpoint *s = tw_checkpoint_open(path);
    CHECK(s != NULL && strcmp(tw_checkpoint_at(s, 0)->name, "b.weight") == 0);
    tw_checkpoint_close(s);
    free(ours);
    free(want);
    CHECK(tw_safetensors_write(path, NULL, 0, NULL, 0) == 0); /* a file of no tensor */
    s = tw_checkpoint_open(path);
    CHECK(s != NULL && tw_checkpoint_count(s) == 0 && !tw_checkpoint_meta_at(s, 1, &(const char *){NULL}, &(const char *){NULL}));
    CHECK(strcmp(tw_checkpoint_meta(s, "format"), "pt") == 0); /* transformers refuses a file that does not say it */
    tw_checkpoint_close(s);
    CHECK(tw_safetensors_write(path, NULL, 0, (const char *const[][2]){{"format", "np"}}, 1) == 0);
    s = tw_checkpoint_open(path);
    CHECK(s != NULL && strcmp(tw_checkpoint_meta(s, "format"), "np") == 0);
    CHECK(!tw_checkpoint_meta_at(s, 1, &(const char *){NULL}, &(const char *){NULL}));
    tw_checkpoint_close(s);
}

/* Names that are not UTF-8 become characters that are, which the Python package reads. */
static void writes_utf8(void)
{
    static const char *const meta[][2] = {{"pa\xff", "caf\xe9"}, {"classes", "[\"caf\\udce9\"]"}};
    tw_named_tensor one = list[0];
    size_t n = 0, at = 8;
    const char *path = in_folder("written");
    one.name = "w\xe9";
    CHECK(tw_safetensors_write(path, &one, 1, meta, 2) == 0);
    char *bytes = tw_file_read(path, &n, 0);
    MUST(bytes != NULL && n > 8);
    while (at < n - 12 && (unsigned char)bytes[at] < 0x80)
        at++;
    CHECK(at == n - 12);
    free(bytes);
    tw_checkpoint *s = tw_checkpoint_open(path);
    MUST(s != NULL);
    CHECK(tw_checkpoint_find(s, "w\\udce9") != NULL);
    CHECK(strcmp(tw_checkpoint_meta(s, "pa\\udcff"), "caf\\udce9") == 0);
    CHECK(strcmp(tw_checkpoint_meta(s, "classes"), meta[1][1]) == 0);
    tw_checkpoint_close(s);
}

static void refuses_to_write(void)
{
    tw_named_tensor bad[4];
    const char *path = in_folder("kept");
    put_file(path, "old", 3);
    memcpy(bad, list, sizeof bad);
    bad[3].name = "c.byte";
    CHECK(tw_safetensors_write(path, bad, 4, NULL, 0) != 0 && strstr(tw_error(), "kept: tensor c.byte appears twice") != NULL);
    bad[3].name = "__metadata__";
    CHECK(tw_safetensors_write(path, bad, 4, NULL, 0) != 0 && strstr(tw_error(), "__metadata__") != NULL);
    size_t n = 0;
    char *old = tw_file_read(path, &n, 0);
    CHECK(old != NULL && n == 3 && memcmp(old, "old", 3) == 0);
    free(old);
    bad[3] = (tw_named_tensor){"c", {TW_C128, 0, {0}, "0123456789abcdef"}};
    CHECK(tw_safetensors_write(path, bad, 4, NULL, 0) != 0 && strstr(tw_error(), "kept: tensor c: safetensors has no type c128") != NULL);
    CHECK(tw_safetensors_write("/dev/full", list, 4, NULL, 0) != 0 && strstr(tw_error(), "/dev/full: No space left") != NULL);
    CHECK(tw_safetensors_write("/nowhere/x", list, 4, NULL, 0) != 0 && strstr(tw_error(), "/nowhere/x: ") != NULL);
}

static void refused(const char *json, size_t data, const char *message)
{
    char file[1024] = {0};
    const uint64_t n = strlen(json);
    const char *path = in_folder("hostile");
    memcpy(file, &n, 8);
    memcpy(file + 8, json, n);
    put_file(path, file, 8 + n + data);
    tw_checkpoint *s = tw_checkpoint_open(path);
    if (s != NULL || strstr(tw_error(), path) != tw_error() || strstr(tw_error(), message) == NULL)
        printf("%s\n", json);
    CHECK(s == NULL && strstr(tw_error(), path) == tw_error() && strstr(tw_error(), message) != NULL);
    tw_checkpoint_close(s);
}

#define T(name, shape, from, to) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

static void hostile(void)
{
    refused("{" T("a", "2", "0", "8") "," T("b", "2", "4", "12") "}", 12, "tensor b: its bytes overlap");
    refused("{" T("a", "2", "0", "8") "," T("b", "2", "0", "8") "}", 8, "overlap");
    refused("{" T("a", "1", "0", "4") "," T("b", "1", "8", "12") "}", 12, "tensor b: its bytes leave a gap");
    refused("{" T("a", "1", "4", "8") "}", 8, "tensor a: its bytes leave a gap");
    refused("{" T("a", "1", "0", "4") "}", 8, "4 bytes belong to no tensor");
    refused("{" T("a", "1", "0", "4") "}", 3, "tensor a: its data_offsets are 0 to 4, of 3 bytes");
    refused("{" T("a", "1", "8", "4") "}", 8, "tensor a: its data_offsets are");
    refused("{" T("a", "1", "-4", "0") "}", 8, "tensor a: its data_offsets are");
    refused("{" T("a", "1", "0", "1e300") "}", 8, "tensor a: its data_offsets are");
    refused("{" T("a", "2", "0", "4") "}", 4, "tensor a: its shape needs 8 bytes, its data_offsets give 4");
    refused("{" T("a", "4294967296,4294967296", "0", "4") "}", 4, "tensor a: ");
    refused("{" T("a", "4611686018427387904", "0", "0") "}", 0, "tensor a: a dimension");
    refused("{" T("a", "-1,-1", "0", "4") "}", 4, "tensor a: a dimension");
    refused("{" T("a", "0.5", "0", "2") "}", 2, "tensor a: a dimension");
    refused("{" T("a", "\"1\"", "0", "4") "}", 4, "tensor a: a dimension");
    refused("{" T("a", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, "tensor a: more than 8 dimensions");
    refused("{" T("a", "1", "0", "4") "," T("a", "1", "4", "8") "}", 8, "tensor a appears twice");
    refused("{\"a\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor a: type F4 is not supported");
    refused("{\"a\":{\"dtype\":\"C64\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor a: its shape needs 32 bytes");
    refused("{\"a\":{\"dtype\":5,\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor a: want dtype");
    refused("{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor a: want dtype");
    refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, "tensor a: want dtype");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]}}", 4, "tensor a: want dtype");
    refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype appears twice");
    refused("{\"a\":5}", 0, "tensor a: want dtype");
    refused("{\"__metadata__\":{\"k\":5}}", 0, "__metadata__: k is not a string");
    refused("{\"__metadata__\":[\"k\"]}", 0, "__metadata__ is not a map");
    refused("{\"a\":[\"F32\",[1],[0,4]]}", 4, "tensor a: want dtype, shape");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ appears twice");
    refused("{" T("a\\u0000b", "1", "0", "4") "}", 4, "the header has a NUL character in a string, at byte 11");
    refused("{\"__metadata__\":{\"k\":\"\\\\\\u0000\"}}", 0, "the header has a NUL character in a string, at byte 32");
    refused("[]", 0, "not a safetensors file");
    refused("{} x", 0, "the header is not valid JSON: error at byte 11");
    refused("{\"a\":", 0, "the header is not valid JSON");
    refused("", 0, "not a safetensors file");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 0, "of 0 bytes in the file");
}

/* No metadata at all, written as some writers do; and a name that only looks as if it had a NUL. */
static void null_metadata(void)
{
    static const char file[] = "\x5e\0\0\0\0\0\0\0"
                               "{\"__metadata__\":null,\"a\\\\u0000\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}             abcd";
    const char *path = in_folder("hostile"), *key, *value;
    put_file(path, file, sizeof file - 1);
    tw_checkpoint *s = tw_checkpoint_open(path);
    MUST(s != NULL);
    CHECK(tw_checkpoint_count(s) == 1 && strcmp(tw_checkpoint_at(s, 0)->name, "a\\u0000") == 0);
    CHECK(!tw_checkpoint_meta_at(s, 0, &key, &value) && tw_checkpoint_meta(s, "format") == NULL);
    tw_checkpoint_close(s);
}

static void no_such_file(void)
{
    const char *path = in_folder("absent");
    CHECK(tw_checkpoint_open(path) == NULL && strstr(tw_error(), "absent: No such file") != NULL);
    CHECK(tw_checkpoint_open(folder) == NULL && strstr(tw_error(), "not a regular file") != NULL);
    CHECK(tw_checkpoint_open("/dev/null") == NULL && strstr(tw_error(), "/dev/null: not a regular file") != NULL);
    put_file(in_folder("jpeg"), "\xff\xd8\xff\xe0\0\x10JFIF\0", 11);
    CHECK(tw_checkpoint_open(in_folder("jpeg")) == NULL);
    CHECK(strstr(tw_error(), "jpeg: not a safetensors file: its first 8 bytes") != NULL);
}

/* Every shorter file is refused; the fuzz target holds on mutations. */
static void cut_and_mutated(const char *golden)
{
    enum { ROUNDS = 4000 };
    size_t size = 0;
    unsigned char *d = tw_file_read(golden, &size, 0);
    const char *path = in_folder("cut");
    CHECK(d != NULL);
    int accepted = 0;
    for (size_t n = 0; n < size; n++) {
        put_file(path, d, n);
        tw_checkpoint *s = tw_checkpoint_open(path);
        accepted += s != NULL || strstr(tw_error(), path) == NULL;
        tw_checkpoint_close(s);
    }
    CHECK(accepted == 0);
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SYNTH, size, 0, 0);
    unsigned char *m = malloc(size);
    for (int i = 0; i < ROUNDS; i++) {
        static const char nasty[] = "0123456789-.eE[]{}\",:\\ \0\xff";
        memcpy(m, d, size);
        for (uint64_t k = 1 + tw_rng_below(&r, 3); k > 0; k--) {
            const size_t at = tw_rng_below(&r, i % 2 != 0 ? size : size / 2);
            m[at] = tw_rng_below(&r, 2) != 0 ? (unsigned char)nasty[tw_rng_below(&r, sizeof nasty)]
                                             : (unsigned char)(m[at] ^ 1u << tw_rng_below(&r, 8));
        }
        LLVMFuzzerTestOneInput(m, size);
    }
    free(m);
    free(d);
}

int main(void)
{
    MUST(mkdtemp(folder) != NULL);
    reads_python();
    writes_for_python();
    writes_utf8();
    refuses_to_write();
    hostile();
    null_metadata();
    no_such_file();
    cut_and_mutated("tests/golden/checkpoint/types.safetensors");
    cut_and_mutated("tests/golden/checkpoint/written.safetensors");
    static const char *const made[] = {"written", "kept", "hostile", "jpeg", "cut"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        unlink(in_folder(made[i]));
    CHECK(rmdir(folder) == 0); /* nothing half-written is left */
    return test_done();
}
