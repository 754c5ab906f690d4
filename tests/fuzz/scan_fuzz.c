/* Goal: whatever bytes arrive, the scanner never reads beyond them, says the same whether they come at once or one by one, agrees
 * with msgpack-c on where a record ends, and what it lets through the decoders and the JSON printer survive. */
#include "stream/decode.h"
#include "stream/json.h"
#include "stream/scan.h"

#include <msgpack/unpack.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

/* A copy of its own size, so that a sanitizer sees any step beyond the bytes. */
static unsigned char *exactly(const uint8_t *data, size_t n)
{
    unsigned char *copy = malloc(n != 0 ? n : 1);
    MUST(copy != NULL);
    memcpy(copy, data, n);
    return copy;
}

static int scan_bytewise(tw_scan *s, const uint8_t *data, size_t size)
{
    int rc = 0;
    for (size_t have = 1; have <= size && rc == 0; have++) {
        unsigned char *part = exactly(data, have);
        rc = tw_scan_run(s, part, have);
        MUST(rc != 0 || s->need > have);
        free(part);
    }
    return rc;
}

static void check_with_msgpack(const unsigned char *record, size_t size)
{
    msgpack_unpacked u;
    size_t at = 0;
    msgpack_unpacked_init(&u);
    MUST(msgpack_unpack_next(&u, (const char *)record, size, &at) == MSGPACK_UNPACK_SUCCESS);
    MUST(at == size && u.data.type == MSGPACK_OBJECT_MAP);
    msgpack_unpacked_destroy(&u);
}

static void decode(const uint8_t *data, size_t size, size_t last_key)
{
    static FILE *null;
    tw_header h;
    tw_end e;
    tw_sample s;
    void *block = NULL;
    tw_sample_init(&s);
    s.buffer = exactly(data, size);
    s.buffer_cap = s.record_size = size;
    if (null == NULL)
        null = fopen("/dev/null", "w");
    tw_check_crc(s.buffer, size, last_key, NULL);
    MUST(null != NULL && tw_json_record(null, s.buffer, size) == 0);
    if (tw_decode_header(&h, &block, s.buffer, size) == 0)
        free(block);
    tw_decode_end(&e, s.buffer, size);
    for (int kind = TW_FILES; kind <= TW_FEATURES; kind++) {
        tw_bytes again = {0};
        if (tw_decode_sample(&s, (tw_kind)kind) == 0)
            MUST(tw_encode_sample(&again, &s) == 0); /* what was read can be written */
        free(again.data);
    }
    tw_sample_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tw_limits limits = {1 << 16, 64, 8};
    tw_scan whole, slow;
    unsigned char *copy = exactly(data, size);
    tw_scan_init(&whole, &limits);
    tw_scan_init(&slow, &limits);
    const int rc = size > 0 ? tw_scan_run(&whole, copy, size) : 0;
    MUST(scan_bytewise(&slow, data, size) == rc);
    if (rc == 1) {
        MUST(whole.at == slow.at && whole.last_key == slow.last_key && whole.at <= size);
        check_with_msgpack(copy, whole.at);
        decode(data, whole.at, whole.last_key);
    }
    free(copy);
    return 0;
}
