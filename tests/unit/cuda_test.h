/* What the tests of the CUDA backend share: a report that tests/gpu/run collects, the emulation's own view of what happened. */
#ifndef TW_CUDA_TEST_H
#define TW_CUDA_TEST_H

#include "test.h"

#include "core/mem.h"
#include "core/philox.h"
#include "nn/backend.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

static FILE *tw_report; /* a line for each comparison: what, type, error, tolerance */

static char test_cache[] = "/tmp/twist-cuda-test-XXXXXX";
static pid_t test_process;

static inline void test_remove_cache(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", test_cache);
    if (getpid() == test_process && system(command) != 0)
        perror(test_cache);
}

/* A single argument is the file that the report goes to. Plans that are kept are those of this test alone. */
static inline void test_open(int argc, char **argv)
{
    if (argc > 1)
        tw_report = fopen(argv[1], "a");
    else if (mkdtemp(test_cache) != NULL) {
        setenv("XDG_CACHE_HOME", test_cache, 1);
        test_process = getpid();
        atexit(test_remove_cache);
    }
}

/* A symbol of the emulation; NULL on a device. */
static inline void *emulated(const char *name)
{
    char path[PATH_MAX + 32];
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/libtwist-cuda.so");
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    return library == NULL ? NULL : dlsym(library, name);
}

#endif
