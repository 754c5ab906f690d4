/* Goal: the fuzz target of archives holds on archives of every format that tar writes, cut at every block and mutated. */
#include "../fuzz/tar_fuzz.c"

#include "core/file.h"
#include "mutate.h"
#include "test.h"

enum { ROUNDS = 3000, ROOM = 512 };

static tw_rng rng;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    return mutate(data, size, max, &rng);
}

/* Samples with labels, pictures in folders, links of both kinds, names and a target longer than any header has room for. */
static const char make[] =
    "set -e; cd %s; long=$(printf 'x%%.0s' $(seq 90)); mkdir -p a/$long/$long b;"
    "for i in 1 2 3; do head -c $((i * 300)) /dev/zero | tr '\\0' x > a/$i.jpg; echo $i > a/$i.cls; cp a/$i.jpg b/$i.x.png; done; cp a/1.jpg a/$long/$long/l.jpg;"
    "ln a/1.jpg b/4.jpg; ln -s ../b/4.jpg a/5.jpg; ln -s nowhere a/6.jpg; ln a/$long/$long/l.jpg b/7.jpg; ln a/1.cls a/5.cls;"
    "for f in v7 ustar gnu pax; do tar -b1 -cf $f.tar --sort=name --format=$f --exclude=$([ $f = v7 ] && echo $long)"
    " --exclude=$(case $f in (v7|ustar) echo 7.jpg; esac) a b; done 2>/dev/null";

int main(void)
{
    static const char *const format[] = {"v7", "ustar", "gnu", "pax"};
    char folder[] = "/tmp/twist-tar-XXXXXX", text[1024];
    tw_rng_init(&rng, 3, TW_USE_SYNTH, 0, 0, 0);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(text, sizeof text, make, folder);
    CHECK(system(text) == 0);
    for (int i = 0; i < 4; i++) {
        size_t size = 0;
        int pictures = 0;
        bool whole = false;
        snprintf(text, sizeof text, "%s/%s.tar", folder, format[i]);
        uint8_t *all = tw_file_read(text, &size, 0), *d = malloc(size + ROOM);
        CHECK(all != NULL && d != NULL);
        walk(all, size, true, NULL, &pictures, &whole);
        CHECK(whole && pictures == (i == 0 ? 6 : 7));
        walk_links(all, size, &pictures, &whole);
        CHECK(whole && pictures == (i < 2 ? 8 + i : 10));
        for (size_t cut = 0; cut < size; cut += 128)
            LLVMFuzzerTestOneInput(all, cut);
        for (unsigned k = 0; k < ROUNDS; k++) {
            memcpy(d, all, size);
            LLVMFuzzerTestOneInput(d, LLVMFuzzerCustomMutator(d, size, size + ROOM, k));
        }
        free(d);
        free(all);
    }
    snprintf(text, sizeof text, "rm -r %s", folder);
    CHECK(system(text) == 0);
    return test_done();
}
