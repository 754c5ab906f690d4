/* Goal: PyTorch's files of both kinds and numpy's are read as they were written (tests/golden/checkpoint/make.py); cut, damaged and
 * hostile ones are refused, quickly and in little memory, and no code in them is run. */
#include "../fuzz/checkpoint_fuzz.c"

#include "core/philox.h"
#include "test.h"

#define GOLDEN "tests/golden/checkpoint/"

static bool same_tensor(const tw_tensor *a, const tw_tensor *b)
{
    return a != NULL && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0 &&
           memcmp(a->data, b->data, (size_t)tw_tensor_bytes(b)) == 0;
}

/* The same tensors in the same order, the same metadata; the safetensors file has "format" before them. */
static void reads(const char *file, const char *as, const char *format)
{
    tw_checkpoint *c = tw_checkpoint_open(file), *want = tw_checkpoint_open(as);
    CHECK(c != NULL && want != NULL);
    if (c == NULL || want == NULL)
        return;
    CHECK(strcmp(tw_checkpoint_format(c), format) == 0 && tw_checkpoint_count(c) == tw_checkpoint_count(want));
    for (int i = 0; i < tw_checkpoint_count(want); i++) {
        const tw_named_tensor *t = tw_checkpoint_at(want, i);
        CHECK(strcmp(tw_checkpoint_at(c, i)->name, t->name) == 0 && same_tensor(tw_checkpoint_find(c, t->name), &t->tensor));
    }
    const char *key, *value, *k, *v;
    int n = 0;
    for (; tw_checkpoint_meta_at(want, n + 1, &key, &value); n++)
        CHECK(tw_checkpoint_meta_at(c, n, &k, &v) && strcmp(k, key) == 0 && strcmp(v, value) == 0);
    CHECK(!tw_checkpoint_meta_at(c, n, &k, &v));
    CHECK(tw_checkpoint_find(c, "nothing") == NULL && tw_checkpoint_meta(c, "nothing") == NULL);
    tw_checkpoint_close(c);
    tw_checkpoint_close(want);
}

static void refused_file(const char *file, const char *message)
{
    tw_checkpoint *c = tw_checkpoint_open(file);
    CHECK(c == NULL && strstr(tw_error(), file) == tw_error() && strstr(tw_error(), message) != NULL);
    tw_checkpoint_close(c);
}

/* A state dict given as a pickle, with a storage of 24 bytes. */
static int read_pickle(const char *pickle, size_t size)
{
    static const unsigned char storage[24];
    tw_stored s = {storage, sizeof storage};
    tw_contents c = {.n = 0};
    size_t used;
    tw_pickle *p = tw_pickle_read((const unsigned char *)pickle, size, &used);
    const int rc = p != NULL ? tw_state_dict_read(&c, tw_pickle_value(p), find, &s, sizeof storage) : -1;
    tw_contents_fini(&c);
    tw_pickle_free(p);
    return rc;
}

static void refused_pickle(const char *pickle, size_t size, const char *message)
{
    const int rc = read_pickle(pickle, size);
    if (rc == 0 || strstr(tw_error(), message) == NULL)
        printf("wanted '%s'\n", message);
    CHECK(rc != 0 && strstr(tw_error(), message) != NULL);
}

#define REFUSED(pickle, message) refused_pickle(pickle, sizeof pickle - 1, message)
#define ACCEPTED(pickle) CHECK(read_pickle(pickle, sizeof pickle - 1) == 0)

/* A tensor "t" of f32 with these offset, sizes, strides, in a storage said to have 6 elements. */
#define REBUILD(type, elements)                                                                   \
    "ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\n" type "Storage\nU\1" "0U\3cpuK" elements "tQ"
#define TENSOR(offset, sizes, strides) "}U\1t" REBUILD("Float", "\6") offset sizes strides "\x89NtRs."

/* The same of bytes whose type the tensor names, as PyTorch has its newer types. */
#define UNTYPED(version, bytes, size, type)                                                                                             \
    "}U\1tctorch._utils\n_rebuild_tensor_" version "\n((U\7storagectorch.storage\nUntypedStorage\nU\1" "0U\3cpuK" bytes "tQK\0" size "\x85K\1\x85" \
    "\x89Nctorch\n" type "\ntRs."

static void hostile_tensors(void)
{
    ACCEPTED(TENSOR("K\0", "(K\2K\3t", "(K\3K\1t"));
    ACCEPTED(TENSOR("K\1", "(K\2K\2t", "(K\3K\1t"));
    ACCEPTED(TENSOR("K\5", "K\1\x85", "K\x63\x85")); /* the stride of a dimension of 1 has no meaning */
    ACCEPTED(TENSOR("K\x63", "K\0\x85", "K\1\x85"));
    REFUSED(TENSOR("K\1", "(K\2K\3t", "(K\3K\1t"), "tensor t: reaches beyond its storage of 6 elements");
    REFUSED(TENSOR("K\0", "(K\2K\3t", "(K\4K\1t"), "reaches beyond");
    ACCEPTED(TENSOR("K\0", "K\6\x85", "K\0\x85"));
    REFUSED(TENSOR("K\0", "K\7\x85", "K\0\x85"), "tensor t: a contiguous copy of it takes 28 bytes, of 24 that are left for such copies");
    REFUSED(TENSOR("K\6", "K\2\x85", "K\0\x85"), "reaches beyond");
    REFUSED(TENSOR("J\xff\xff\xff\xff", "K\2\x85", "K\1\x85"), "reaches beyond");
    REFUSED(TENSOR("K\0", "K\2\x85", "J\xff\xff\xff\xff\x85"), "not a whole number");
    REFUSED(TENSOR("K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"), "not a whole number");
    REFUSED(TENSOR("K\0", "\x8a\x08\0\0\0\0\0\0\0\x40\x85", "K\1\x85"), "tensor t: ");
    REFUSED(TENSOR("K\0", "K\2\x85", "\x8a\x08\0\0\0\0\0\0\0\x40\x85"), "reaches beyond");
    REFUSED(TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\2\x85", "K\1\x85"), "reaches beyond");
    REFUSED(TENSOR("K\0", "K\2\x85", "(K\1K\1t"), "dimensions");
    REFUSED(TENSOR("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"), "9 dimensions");
    REFUSED(TENSOR("K\0", "N\x85", "K\1\x85"), "not a whole number");
    REFUSED("}U\1t" REBUILD("Float", "\7") "K\0K\1\x85K\1\x85\x89NtRs.",
            "its storage is declared to have 7 elements, but has 24 bytes");
    ACCEPTED("}U\1t" REBUILD("Char", "\x18") "K\0K\1\x85K\1\x85\x89NtRs.");
    REFUSED("}U\1t" REBUILD("Char", "\6") "K\0K\1\x85K\1\x85\x89NtRs.", "its storage is declared to have 6 elements, but has 24 bytes");
    ACCEPTED(UNTYPED("v3", "\x18", "K\x0c", "uint16"));
    ACCEPTED(UNTYPED("v3", "\x18", "K\x18", "float8_e5m2"));
    REFUSED(UNTYPED("v3", "\x18", "K\x0d", "uint16"), "reaches beyond its storage of 12 elements");
    REFUSED(UNTYPED("v3", "\x0c", "K\x0c", "uint16"), "its storage is declared to have 12 elements, but has 24 bytes");
    REFUSED(UNTYPED("v3", "\x18", "K\1", "FloatStorage"), "an untyped storage without the tensor's type");
    REFUSED(UNTYPED("v3", "\x18", "K\1", "float4_e2m1fn_x2"), "refused: it uses torch.float4_e2m1fn_x2");
    REFUSED("}U\1tctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch.storage\nUntypedStorage\nU\1" "0U\3cpuK\x18tQK\0K\1\x85K\1\x85\x89NtRs.",
            "an untyped storage without the tensor's type");
    ACCEPTED("}U\1t" REBUILD("Float", "\6") "K\0K\1\x85K\1\x85\x89N}tRs.");
    REFUSED("}U\1t" REBUILD("Float", "\6") "K\0K\1\x85K\1\x85\x89N}U\3neg\x88stRs.", "tensor t: a conjugate or negative view");
    /* two strided tensors share a storage: what is copied stays below the file's size */
    REFUSED("(l" REBUILD("Float", "\6") "K\0(K\2K\3t(K\1K\2t\x89NtRq\0ah\0a.",
            "tensor 1: a contiguous copy of it takes 24 bytes, of 0 that are left for such copies");
    /* the list of sizes grows after the tensor was made of it */
    REFUSED("}U\1t" REBUILD("Float", "\6") "K\0]q\1K\2a]K\1a\x89NtRsh\1Na0.", "dimensions");
}

/* A numpy array "t" with that state: version, shape, type, Fortran's order, bytes. */
#define NUMPY(type, order) "cnumpy\ndtype\n(U\2" type "\x89\x88tR(K\3U\1" order "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
#define ARRAY(shape, type, fortran, data) \
    "}U\1tcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btR(K\1" shape type fortran data "tbs."

/* Bytes as protocol 2 writes them. */
#define LATIN1(size, text) "c_codecs\nencode\n(X" size "\0\0\0" text "U\6latin1tR"

/* The same as protocol 5 writes it. */
#define BYTEARRAY(size, bytes) "\x96" size "\0\0\0\0\0\0\0" bytes
#define FILLED(numpy, data, type, shape, order) "}U\1tc" numpy ".numeric\n_frombuffer\n(" data type shape order "tRs."

/* The tensor or array "t" of that pickle has these bytes; a storage has the alphabet's first 24. */
static void array_is(const char *pickle, size_t size, const char *want, size_t bytes)
{
    tw_stored s = {(const unsigned char *)"abcdefghijklmnopqrstuvwx", 24};
    tw_contents c = {.n = 0};
    size_t used;
    tw_pickle *p = tw_pickle_read((const unsigned char *)pickle, size, &used);
    CHECK(p != NULL && tw_state_dict_read(&c, tw_pickle_value(p), find, &s, 24) == 0 && c.n == 1);
    tw_pickle_free(p); /* the array does not need it */
    CHECK(c.n == 1 && tw_tensor_bytes(&c.tensor[0].tensor) == (int64_t)bytes && memcmp(c.tensor[0].tensor.data, want, bytes) == 0);
    tw_contents_fini(&c);
}

#define ARRAY_IS(want, pickle) array_is(pickle, sizeof pickle - 1, want, sizeof want - 1)

/* Numbers of the types that nothing here computes with. */
static void elements(void)
{
    static const struct {
        tw_dtype dtype;
        unsigned char bytes[8];
        double value;
    } known[] = {{TW_BOOL, {1}, 1}, {TW_I8, {0xfe}, -2}, {TW_I16, {0xfe, 0xff}, -2}, {TW_U16, {0xfe, 0xff}, 65534},
                 {TW_U32, {0, 0, 0, 0x80}, 0x1p31}, {TW_U64, {0, 0, 0, 0, 0, 0, 0, 0x80}, 0x1p63}, {TW_F8_E4M3, {0x7e}, 448},
                 {TW_F8_E4M3, {0x81}, -0x1p-9}, {TW_F8_E4M3, {0x38}, 1}, {TW_F8_E5M2, {0x7b}, 57344}, {TW_F8_E5M2, {0xfc}, -INFINITY}};
    float out;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const tw_tensor t = {known[i].dtype, 1, {1}, known[i].bytes};
        CHECK(tw_tensor_element(&t, 0) == known[i].value);
        CHECK(tw_tensor_to_f32(&out, &t) != 0 && strstr(tw_error(), "want a floating-point type") != NULL);
    }
    CHECK(isnan(tw_tensor_element(&(tw_tensor){TW_F8_E4M3, 1, {1}, "\xff"}, 0)));
}

/* Tensors that were expanded, and those whose elements overlap, are copied. */
static void expanded(void)
{
    ARRAY_IS("efghefgh", TENSOR("K\1", "K\2\x85", "K\0\x85"));
    ARRAY_IS("abcdefghabcdefgh", TENSOR("K\0", "(K\2K\2t", "(K\0K\1t"));
    ARRAY_IS("abcdefghefghijkl", TENSOR("K\0", "(K\2K\2t", "(K\1K\1t"));
}

static void arrays(void)
{
    ARRAY_IS("a\0\x80\xff", ARRAY("(K\2K\2t", NUMPY("u1", "|"), "\x89", LATIN1("\6", "a\0\xc2\x80\xc3\xbf")));
    ARRAY_IS("abcdef", ARRAY("(K\2K\3t", NUMPY("u1", "|"), "\x88", "U\6adbecf"));
    ARRAY_IS("abcdef", ARRAY("(K\2K\3t", NUMPY("u1", "|"), "\x88", LATIN1("\6", "adbecf")));
    ARRAY_IS("abcdef", FILLED("numpy._core", BYTEARRAY("\6", "abcdef"), NUMPY("u1", "|"), "(K\2K\3t", "U\1" "C"));
    ARRAY_IS("abcdef", FILLED("numpy.core", "C\6adbecf", NUMPY("u1", "|"), "K\2K\3\x86", "U\1" "F"));
}

/* The metadata under "n" of a dict of that pickle. */
static void number_is(const char *pickle, size_t size, const char *want)
{
    tw_contents c = {.n = 0};
    size_t used;
    tw_pickle *p = tw_pickle_read((const unsigned char *)pickle, size, &used);
    const bool good = p != NULL && tw_state_dict_read(&c, tw_pickle_value(p), find, NULL, 24) == 0 && c.n == 0 && c.n_meta == 1 &&
                      strcmp(c.meta[0][0], "n") == 0 && strcmp(c.meta[0][1], want) == 0;
    if (!good)
        printf("wanted '%s', found '%s'\n", want, c.n_meta > 0 ? c.meta[0][1] : tw_error());
    CHECK(good);
    tw_contents_fini(&c);
    tw_pickle_free(p);
}

#define SCALAR(dtype, bytes) "}U\1ncnumpy.core.multiarray\nscalar\n(" dtype bytes "tRs."
#define NUMBER_IS(want, pickle) number_is(pickle, sizeof pickle - 1, want)

/* numpy's numbers are Python's, in the digits that numpy prints; those that Python lacks and what is none are "?". */
static void numbers(void)
{
    NUMBER_IS("3.2", SCALAR(NUMPY("f8", "<"), LATIN1("\x0e", "\xc2\x9a\xc2\x99\xc2\x99\xc2\x99\xc2\x99\xc2\x99\t@")));
    NUMBER_IS("3.2", SCALAR(NUMPY("f8", "<"), "U\10\x9a\x99\x99\x99\x99\x99\t@"));
    NUMBER_IS("0.1", SCALAR(NUMPY("f4", "<"), "U\4\xcd\xcc\xcc="));
    NUMBER_IS("nan", SCALAR(NUMPY("f4", "<"), "U\4\0\0\xc0\x7f"));
    NUMBER_IS("1.5", SCALAR(NUMPY("f2", "<"), "U\2\0>"));
    NUMBER_IS("9007199254740993", SCALAR(NUMPY("i8", "<"), "U\10\1\0\0\0\0\0\x20\0"));
    NUMBER_IS("-2", SCALAR(NUMPY("i2", "<"), "U\2\xfe\xff"));
    NUMBER_IS("255", SCALAR(NUMPY("u1", "|"), "U\1\xff"));
    NUMBER_IS("true", SCALAR(NUMPY("b1", "|"), "U\1\1"));
    NUMBER_IS("?", SCALAR(NUMPY("u8", "<"), "U\10\0\0\0\0\0\0\0\x80")); /* beyond 64 bits with a sign */
    NUMBER_IS("?", SCALAR(NUMPY("c8", "<"), "U\10\0\0\0\0\0\0\0\0"));
    NUMBER_IS("?", SCALAR(NUMPY("i2", ">"), "U\2\xfe\xff"));
    NUMBER_IS("?", SCALAR(NUMPY("M8", "<"), "U\10\0\0\0\0\0\0\0\0"));
    NUMBER_IS("?", SCALAR(NUMPY("f8", "<"), "U\7\0\0\0\0\0\0\0"));
    NUMBER_IS("?", SCALAR(NUMPY("f8", "<"), LATIN1("\3", "a\xc4\x80")));
    NUMBER_IS("?", SCALAR("N", "U\1a"));
    NUMBER_IS("?", "}U\1ncnumpy.core.multiarray\nscalar\n)Rs.");
    NUMBER_IS("[1, 255, ?]", "}U\1n](K\1cnumpy._core.multiarray\nscalar\n(" NUMPY("u1", "|") "U\1\xfftRcnumpy.core.multiarray\nscalar\n)Res.");
}

/* Plain data of Python's own classes: as dicts, lists and "?". */
static void plain_data(void)
{
    NUMBER_IS("?", "}U\1nc__builtin__\ncomplex\n(G\0\0\0\0\0\0\0\0G\0\0\0\0\0\0\0\0tRs.");
    NUMBER_IS("?", "}U\1nc__builtin__\nbytearray\n(U\2abU\7latin-1tRs.");
    NUMBER_IS("?", "}U\1ncdatetime\ndatetime\n(U\2abtRs.");
    NUMBER_IS("?", "}U\1ncbuiltins\nslice\n(K\1K\2NtRs.");
    NUMBER_IS("?", "}U\1nc__builtin__\nlong\ns.");
    NUMBER_IS("[1, 2]", "}U\1nc__builtin__\nfrozenset\n(](K\1K\2etRs.");
    NUMBER_IS("[1, 2]", "}U\1n(K\1K\2\x91s.");
    NUMBER_IS("[1, 2]", "}U\1nccollections\ndeque\n()K\5tR(K\1K\2es.");
    NUMBER_IS("7", "ccollections\ndefaultdict\n(c__builtin__\nlist\ntRU\1nK\7s.");
    NUMBER_IS("7", "ccollections\nCounter\n(}U\1nK\7stR.");
    NUMBER_IS("7", "ctypes\nSimpleNamespace\n)R}U\1nK\7sb.");
    REFUSED("cbuiltins\nlist\n)R.", "refused: it calls builtins list");
}

static void hostile_arrays(void)
{
    ACCEPTED(ARRAY("(K\1K\2t", NUMPY("f4", "<"), "\x89", "U\10abcdefgh"));
    ACCEPTED(ARRAY("(K\0K\2t", NUMPY("f4", "<"), "\x89", "U\0"));
    ACCEPTED(ARRAY("(K\0K\2t", NUMPY("f4", "<"), "\x88", "U\0"));
    REFUSED(ARRAY("(K\2K\2t", NUMPY("f4", "<"), "\x89", "U\10abcdefgh"), "tensor t: its shape needs 16 bytes, it has 8");
    REFUSED(ARRAY("(K\1K\1t", NUMPY("f4", "<"), "\x89", "U\10abcdefgh"), "its shape needs 4 bytes, it has 8");
    REFUSED(ARRAY("(\x8a\x08\0\0\0\0\0\0\0\x40\x8a\x08\0\0\0\0\0\0\0\x40t", NUMPY("f4", "<"), "\x89", "U\0"), "tensor t: ");
    REFUSED(ARRAY("J\xff\xff\xff\xff\x85", NUMPY("f4", "<"), "\x89", "U\10abcdefgh"), "not a whole number");
    REFUSED(ARRAY("K\2\x85", NUMPY("f4", ">"), "\x89", "U\10abcdefgh"), "big-endian");
    ACCEPTED(ARRAY("K\2\x85", NUMPY("u4", "<"), "\x89", "U\10abcdefgh"));
    ACCEPTED(ARRAY("K\2\x85", NUMPY("O8", "|"), "\x89", "](U\1aNe")); /* of objects */
    REFUSED(ARRAY("K\2\x85", "N", "\x89", "U\10abcdefgh"), "not an array as numpy pickles it");
    REFUSED(ARRAY("K\4\x85", NUMPY("u1", "|"), "\x89", LATIN1("\3", "abc")), "its shape needs 4 bytes, it has 3");
    REFUSED(ARRAY("K\2\x85", NUMPY("u1", "|"), "\x89", LATIN1("\3", "abc")), "its shape needs 2 bytes, it has 3");
    REFUSED(ARRAY("K\2\x85", NUMPY("u1", "|"), "\x89", LATIN1("\3", "a\xc4\x80")), "a byte string with a character above 255");
    REFUSED(ARRAY("K\2\x85", NUMPY("u1", "|"), "\x89", LATIN1("\2", "a\xc3")), "a byte string with a character above 255");
    REFUSED(ARRAY("K\2\x85", NUMPY("u1", "|"), "\x89", LATIN1("\3", "a\xc3z")), "a byte string with a character above 255");
    ACCEPTED(ARRAY("K\x18\x85", NUMPY("u1", "|"), "\x89", LATIN1("\x18", "0123456789abcdef01234567")));
    REFUSED(ARRAY("K\x19\x85", NUMPY("u1", "|"), "\x89", LATIN1("\x19", "0123456789abcdef012345678")), "takes 25 bytes, of 24 that are left");
    ACCEPTED(ARRAY("(K\0K\2t", NUMPY("f4", "<"), "\x89", "c__builtin__\nbytes\n)R"));
    ACCEPTED(ARRAY("K\2\x85", NUMPY("u1", "|"), "\x89", "c_codecs\nencode\n(U\2abU\5ascii" "tR")); /* left out */
    REFUSED("}U\1tcnumpy.core.multiarray\n_reconstruct\n)Rs.", "refused: it calls numpy.core.multiarray _reconstruct");
    REFUSED(FILLED("numpy.core", "C\6abcdef", NUMPY("f4", "<"), "K\2\x85", "U\1" "C"), "its shape needs 8 bytes, it has 6");
    REFUSED(FILLED("numpy.core", "K\1", NUMPY("f4", "<"), "K\2\x85", "U\1" "C"), "not an array as numpy pickles it");
    REFUSED(FILLED("numpy.core", "U\4abcd", "N", "K\1\x85", "U\1" "C"), "not an array as numpy pickles it");
    REFUSED(FILLED("numpy.core", "U\4abcd", NUMPY("f4", "<"), "K\1", "U\1" "C"), "not an array as numpy pickles it");
    REFUSED(FILLED("numpy.core", "U\4abcd", NUMPY("f4", "<"), "K\1\x85", "U\1" "A"), "not made of bytes, type, shape and order");
    REFUSED(FILLED("numpy.core", "U\4abcd", NUMPY("f4", "<"), "K\1\x85", ""), "not made of bytes, type, shape and order");
    REFUSED("}U\1tcnumpy\nndarray\n)Rs.", "refused: it calls numpy ndarray");
    REFUSED("}U\1tcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btRs.", "not an array as numpy pickles it");
}

static void hostile_pickles(void)
{
    ACCEPTED("}.");
    ACCEPTED("\x80\2}q\0(X\1\0\0\0aK\1X\1\0\0\0bNu.");
    REFUSED("", "pickle, byte 0: truncated");
    REFUSED("}", "truncated");
    REFUSED(".", "takes more from the stack");
    REFUSED("(.", "takes more from the stack");
    REFUSED("a", "takes more from the stack");
    REFUSED("(a", "takes more from the stack");
    REFUSED("](a", "takes more from the stack");
    REFUSED("NNa", "adds to a value that is not a list");
    REFUSED("]NNs", "adds to a value that is not a dict");
    REFUSED("}(Nu", "adds to a value that is not a dict");
    REFUSED("Nu", "no mark on the stack");
    REFUSED("t", "no mark on the stack");
    REFUSED("N\x87", "takes more from the stack");
    REFUSED("(N\x86", "takes more from the stack");
    REFUSED("h\1", "a value that is not in the memo");
    REFUSED("Nr\xff\xff\xff\x7f", "values in the memo");
    REFUSED("X\xff\xff\xff\xff", "truncated");
    REFUSED("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "truncated");
    REFUSED("\x8b\xff\xff\xff\xff", "truncated");
    REFUSED("S'a'\n.", "opcode 0x53");
    REFUSED("i", "opcode 0x69");
    REFUSED("cos\nsystem\n(U\4trueetR.", "refused: it uses os.system");
    REFUSED("cbuiltins\neval\n.", "refused: it uses builtins.eval, which no state dict needs: save one with torch.save(model.state_dict(), FILE)");
    REFUSED("ctorch._utils\n_rebuild_sparse_tensor\n.", "refused: it uses torch._utils._rebuild_sparse_tensor, for a kind of tensor that");
    REFUSED("U\2osU\6system\x93.", "refused: it uses os.system");
    REFUSED("NU\6system\x93.", "a global whose name is not a string");
    REFUSED("c", "truncated");
    REFUSED("cos\nsystem", "truncated");
    REFUSED("ctorch\nFloatStorage\n)R.", "refused: it calls torch FloatStorage");
    REFUSED("ccopyreg\n_reconstructor\n(cbuiltins\nobject\nNNtR.", "refused: it calls copyreg _reconstructor");
    REFUSED("N)R.", "refused: it calls a value that is not a function");
    REFUSED("NNb.", "refused: it sets the state");
    REFUSED("NQ.", "a persistent id that does not name a storage");
    REFUSED("(NNNNNtQ.", "a persistent id that does not name a storage");
    REFUSED("ctorch._utils\n_rebuild_tensor_v2\n)R.", "not made of storage");
    REFUSED("ccollections\nOrderedDict\nN\x85R.", "that is not a list");
    REFUSED("ccollections\nOrderedDict\n]Na\x85R.", "that is not a pair");
    REFUSED("}U\1a\0N", "opcode 0x00");
    REFUSED("}U\0Ns.", "a key that is not a string");
    REFUSED("}U\2a\0Ns.", "a key that is not a string");
    REFUSED("}U\1\xffNs.", "a key that is not a string");
    REFUSED("]q\0h\0a.", "nested too deeply, or in itself");
    REFUSED("}q\0U\1ah\0s.", "nested too deeply, or in itself");
    ACCEPTED("cargparse\nNamespace\n)\x81q\0h\0b."); /* its own state: nothing happens */
    /* ten levels of ten references each */
    REFUSED("]q\0NaNaNa](h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0eq\1](h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1eq\2](h\2h\2h\2h\2h\2h\2h\2h\2h\2h\2eq\3"
            "](h\3h\3h\3h\3h\3h\3h\3h\3h\3h\3eq\4](h\4h\4h\4h\4h\4h\4h\4h\4h\4h\4eq\5](h\5h\5h\5h\5h\5h\5h\5h\5h\5h\5eq\6"
            "](h\6h\6h\6h\6h\6h\6h\6h\6h\6h\6eq\7](h\7h\7h\7h\7h\7h\7h\7h\7h\7h\7e.",
            "nested too deeply, or in itself");
}

/* A pickle of nothing but one opcode, `size` times: many values, a deep stack. */
static void many(char opcode, const char *message)
{
    enum { SIZE = 5 << 20 };
    char *d = malloc(SIZE);
    MUST(d != NULL);
    memset(d, opcode, SIZE);
    refused_pickle(d, SIZE, message);
    free(d);
}

static uint32_t nasty_byte(tw_rng *r)
{
    static const char nasty[] = "()]}}.0abceghjlqrstuNKMJXUBTQRPK\1\2\3\x80\x81\x85\x86\x87\x88\x89\x8a\x93\x94\xff";
    return (unsigned char)nasty[tw_rng_below(r, sizeof nasty)];
}

static void mutated(const char *file, int rounds)
{
    size_t size = 0;
    unsigned char *d = tw_file_read(file, &size, 0), *m = malloc(size);
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SYNTH, size, 0, 0);
    CHECK(d != NULL);
    for (int i = 0; i < rounds && d != NULL && m != NULL; i++) {
        memcpy(m, d, size);
        for (uint64_t k = 1 + tw_rng_below(&r, 3); k > 0; k--) {
            const size_t at = tw_rng_below(&r, size);
            m[at] = (unsigned char)(tw_rng_below(&r, 2) != 0 ? nasty_byte(&r) : m[at] ^ 1u << tw_rng_below(&r, 8));
        }
        LLVMFuzzerTestOneInput(m, size);
    }
    free(m);
    free(d);
}

/* The pickle inside the zip: found by its first opcodes, run without its checksum. */
static void mutated_pickle(const char *file, int rounds)
{
    size_t size = 0, used = 0;
    unsigned char *d = tw_file_read(file, &size, 0);
    CHECK(d != NULL);
    size_t at = 0;
    while (d != NULL && at + 2 < size && !(d[at] == 0x80 && d[at + 1] == 2 && d[at + 2] == '}'))
        at++;
    tw_pickle *p = tw_pickle_read(d + at, size - at, &used);
    CHECK(p != NULL);
    tw_pickle_free(p);
    tw_rng r;
    tw_rng_init(&r, 2, TW_USE_SYNTH, size, 0, 0);
    unsigned char *m = malloc(used + 1);
    for (int i = 0; i < rounds && m != NULL; i++) {
        memcpy(m, d + at, used);
        for (uint64_t k = 1 + tw_rng_below(&r, 3); k > 0; k--)
            m[tw_rng_below(&r, used)] = (unsigned char)nasty_byte(&r);
        run_pickle(m, used);
    }
    free(m);
    free(d);
}

/* The file with `size` bytes at `at` changed to these. */
static void patched(const unsigned char *file, size_t length, size_t at, const char *to, size_t size, const char *message)
{
    char path[64];
    const int fd = memfd_create("patched", MFD_CLOEXEC);
    MUST(fd >= 0 && tw_write_all(fd, file, at) == 0 && tw_write_all(fd, to, size) == 0 &&
         tw_write_all(fd, file + at + size, length - at - size) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    refused_file(path, message);
    close(fd);
}

/* An array that is copied to be read, because its bytes are written as a text or in Fortran's order, lives as long as its file. */
static void copied_arrays(void)
{
    static const char pickle[] = "\x80\2}(U\1acnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btR(K\1K\4\x85" NUMPY("u1", "|")
                                 "\x89" LATIN1("\4", "abcd") "tb"
                                 "U\1fcnumpy.core.numeric\n_frombuffer\n(U\6adbecf" NUMPY("u1", "|") "K\2K\3\x86U\1" "FtRu.";
    char path[64];
    const int fd = memfd_create("arrays", MFD_CLOEXEC);
    MUST(fd >= 0 && tw_write_all(fd, pickle, sizeof pickle - 1) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tw_checkpoint *c = tw_checkpoint_open(path);
    MUST(c != NULL && tw_checkpoint_count(c) == 2);
    CHECK(memcmp(tw_checkpoint_at(c, 0)->tensor.data, "abcd", 4) == 0 && memcmp(tw_checkpoint_at(c, 1)->tensor.data, "abcdef", 6) == 0);
    tw_checkpoint_close(c);
    close(fd);
}

/* One damage each to a zip: data, directory, local header, end. */
static void damaged_zip(void)
{
    size_t n = 0;
    tw_zip z;
    unsigned char *d = tw_file_read(GOLDEN "full.pth", &n, 0);
    MUST(d != NULL && tw_zip_read(&z, d, n) == 0);
    const tw_zip_entry *e = tw_zip_find(&z, "full/data/0", 11), *other = tw_zip_find(&z, "full/data/1", 11);
    const tw_zip_entry *order = tw_zip_find(&z, "full/byteorder", 14);
    CHECK(e != NULL && other != NULL && order != NULL);
    const size_t central = (size_t)((const unsigned char *)e->name - d) - 46;
    patched(d, n, (size_t)(e->data - d), "\x01", 1, "entry full/data/0: its checksum does not match its bytes");
    patched(d, n, central, "PKxx", 4, "its directory is broken");
    patched(d, n, central + 8, "\1", 1, "entry full/data/0: compressed or encrypted");
    patched(d, n, central + 10, "\x08", 1, "entry full/data/0: compressed or encrypted");
    patched(d, n, central + 24, "\xff\xff\xff\x7f", 4, "entry full/data/0: compressed"); /* two sizes */
    patched(d, n, central + 20, "\xff\xff\xff\x7f\xff\xff\xff\x7f", 8, "entry full/data/0: its directory entry places its bytes outside");
    patched(d, n, central + 42, "\1", 1, "entry full/data/0: its header is not where the directory says");
    patched(d, n, central + 42, "\xff\xff\xff\x7f", 4, "entry full/data/0: its header is not where");
    patched(d, n, central + 46, "evil", 4, "entry evil/data/0: its local header has another name");
    patched(d, n, (size_t)((const unsigned char *)other->name - d), "full/data/0", 11, "its local header has another name");
    patched(d, n, (size_t)(order->data - d), "bigend", 6, "its numbers are big-endian");
    patched(d, n, n - 22 + 10, "\xfe", 1, "its directory is broken"); /* number of entries */
    patched(d, n, n - 22 + 16, "\xff\xff\xff\x7f", 4, "its directory is broken");
    patched(d, n, n - 22, "PKxx", 4, "truncated: no directory at its end");
    tw_zip_fini(&z);
    free(d);
}

/* Every shorter file is refused. */
static void cut(const char *file)
{
    size_t size = 0;
    int accepted = 0;
    unsigned char *d = tw_file_read(file, &size, 0);
    char path[64];
    CHECK(d != NULL);
    for (size_t n = 0; n < size; n += n < 600 || n + 600 > size ? 1 : 7) {
        const int fd = memfd_create("truncated", MFD_CLOEXEC);
        MUST(fd >= 0 && tw_write_all(fd, d, n) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        tw_checkpoint *c = tw_checkpoint_open(path);
        accepted += c != NULL;
        tw_checkpoint_close(c);
        close(fd);
    }
    CHECK(accepted == 0);
    free(d);
}

int main(void)
{
    reads(GOLDEN "full.pth", GOLDEN "full.safetensors", "PyTorch");
    reads(GOLDEN "legacy.pth", GOLDEN "full.safetensors", "PyTorch before 1.6");
    reads(GOLDEN "arrays.npz", GOLDEN "arrays.safetensors", "npz");
    refused_file(GOLDEN "module.pth", "refused: it uses torch.nn.modules.linear.Linear, which no state dict needs");
    refused_file(GOLDEN "attack.pth", "refused: it uses posix.system");
    refused_file(GOLDEN "compressed.npz", "entry x.npy: compressed");
    hostile_tensors();
    elements();
    expanded();
    arrays();
    numbers();
    plain_data();
    copied_arrays();
    hostile_arrays();
    hostile_pickles();
    many('N', "more than");
    many('(', "more than");
    many(']', "more than");
    damaged_zip();
    cut(GOLDEN "full.pth");
    cut(GOLDEN "legacy.pth");
    cut(GOLDEN "arrays.npz");
    mutated(GOLDEN "full.pth", 1500);
    mutated(GOLDEN "legacy.pth", 4000);
    mutated(GOLDEN "arrays.npz", 1500);
    mutated_pickle(GOLDEN "full.pth", 10000);
    return test_done();
}
