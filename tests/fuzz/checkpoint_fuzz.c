/* Goal: whatever bytes a checkpoint of any format has, it is refused or all its tensors can be read; a pickle of any bytes runs
 * to an end in bounded memory.
 *
 * With clang: clang -fsanitize=fuzzer,address -Ilib tests/fuzz/checkpoint_fuzz.c lib/checkpoint/[!nl]*.c lib/checkpoint/npz.c
 * lib/core/[!p]*.c -lcjson -lz -lm -lpthread; tests/unit/checkpoint_formats_test.c runs it on mutated files with any compiler. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"
#include "checkpoint/state_dict.h"
#include "core/error.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

static void touch(const tw_tensor *t)
{
    static volatile unsigned sink;
    const unsigned char *p = t->data;
    const int64_t n = tw_tensor_bytes(t);
    MUST(n >= 0);
    for (int64_t i = 0; i < n; i++)
        sink = sink + p[i];
}

static void open_file(const uint8_t *data, size_t size)
{
    char path[64];
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && tw_write_all(fd, data, size) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tw_checkpoint *c = tw_checkpoint_open(path);
    MUST(c != NULL || strstr(tw_error(), path) == tw_error());
    for (int i = 0; c != NULL && i < tw_checkpoint_count(c); i++) {
        const tw_named_tensor *t = tw_checkpoint_at(c, i);
        MUST(tw_checkpoint_find(c, t->name) == &t->tensor);
        touch(&t->tensor);
    }
    tw_checkpoint_close(c);
    close(fd);
}

/* A storage of any key: the pickle's own bytes, so that the sanitizers watch the ends. */
static int find(void *context, tw_stored *s, const char *key, size_t n)
{
    (void)key, (void)n;
    *s = *(const tw_stored *)context;
    return 0;
}

/* The bytes as a pickle, without the checksum that a zip has over one. */
static void run_pickle(const uint8_t *data, size_t size)
{
    size_t used;
    unsigned char *copy = malloc(size != 0 ? size : 1); /* of its own size: a step beyond it is seen */
    MUST(copy != NULL);
    memcpy(copy, data, size);
    tw_pickle *p = tw_pickle_read(copy, size, &used);
    tw_contents c = {.n = 0};
    tw_stored s = {copy, size / 8 * 8 < 24 ? size / 8 * 8 : 24};
    MUST(p == NULL || used <= size);
    if (p != NULL && tw_state_dict_read(&c, tw_pickle_value(p), find, &s, 1 << 16) == 0)
        for (size_t i = 0; i < c.n; i++)
            touch(&c.tensor[i].tensor);
    tw_contents_fini(&c);
    tw_pickle_free(p);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_file(data, size);
    run_pickle(data, size);
    return 0;
}
