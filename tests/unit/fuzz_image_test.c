/* Goal: the fuzz target of pictures holds on the golden pictures cut at every few bytes and on a hundred mutations of each. */
#include "../fuzz/image_fuzz.c"

#include "core/file.h"
#include "mutate.h"
#include "test.h"

#include <glob.h>

enum { ROUNDS = 100, ROOM = 64 };

static tw_rng rng;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    return mutate(data, size, max, &rng);
}

int main(void)
{
    glob_t found;
    size_t size = 0;
    int n = 0;
    tw_rng_init(&rng, 2, TW_USE_SYNTH, 0, 0, 0);
    CHECK(glob("tests/golden/decode/*", 0, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *file = found.gl_pathv[i], *dot = strrchr(file, '.');
        if (strcmp(dot, ".py") == 0 || strcmp(dot, ".want") == 0 || strcmp(dot, ".upright") == 0)
            continue;
        uint8_t *whole = tw_file_read(file, &size, 0), *d = malloc(size + ROOM);
        CHECK(whole != NULL && d != NULL);
        for (size_t cut = 0; cut < size; cut += 1 + size / 50)
            LLVMFuzzerTestOneInput(whole, cut);
        for (unsigned k = 0; k < ROUNDS; k++) {
            memcpy(d, whole, size);
            LLVMFuzzerTestOneInput(d, LLVMFuzzerCustomMutator(d, size, size + ROOM, k));
        }
        free(d);
        free(whole);
        n++;
    }
    CHECK(n >= 150);
    globfree(&found);
    return test_done();
}
