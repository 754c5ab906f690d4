/* Goal: whatever bytes a safetensors file has, it is refused or all its tensors lie inside it.
 *
 * With clang: clang -fsanitize=fuzzer,address -Ilib tests/fuzz/safetensors_fuzz.c lib/checkpoint/safetensors*.c lib/core/[!p]*.c
 * -lcjson -lm -lpthread; tests/unit/safetensors_test.c runs it on mutated files with any compiler. */
#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

static unsigned touch(const tw_tensor *t)
{
    const unsigned char *p = t->data;
    const int64_t n = tw_tensor_bytes(t);
    unsigned sum = 0;
    MUST(n >= 0);
    for (int64_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile unsigned sink;
    char path[64];
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && tw_write_all(fd, data, size) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tw_safetensors *s = tw_safetensors_open(path);
    MUST(s != NULL || strstr(tw_error(), path) != NULL);
    int64_t total = 0;
    for (int i = 0; s != NULL && i < tw_safetensors_count(s); i++) {
        const tw_named_tensor *t = tw_safetensors_at(s, i);
        sink = sink + touch(&t->tensor);
        total += tw_tensor_bytes(&t->tensor);
    }
    MUST(total <= (int64_t)size);
    const char *key, *value;
    for (int i = 0; s != NULL && tw_safetensors_meta_at(s, i, &key, &value); i++)
        sink = sink + (unsigned)(strlen(key) + strlen(value));
    tw_safetensors_close(s);
    close(fd);
    return 0;
}
