#include "nn/backend.h"

#include "core/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running executable, without the slash; "" if the system does not tell. */
static void own_folder(char *out, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* A library that is there but does not load is an error worth telling: its message is kept, the search goes on. */
static void *open_library(const char *name)
{
    char folder[PATH_MAX], path[PATH_MAX + 300];
    own_folder(folder, sizeof folder);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, i == 0 ? "%s/libtwist-%s.so" : "%s/../lib/libtwist-%s.so", folder, name);
        if (access(path, R_OK) != 0)
            continue;
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            tw_fail("device %s: %s", name, dlerror());
        return library;
    }
    snprintf(path, sizeof path, "libtwist-%s.so", name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        tw_fail("device %s: %s", name, dlerror());
    return library;
}

/* OpenMP's threads sleep between kernels instead of spinning: in a pipeline the other programs need the processors, and a spinning
 * thread whose partner is not running costs a time slice at every barrier. libgomp reads this when it is loaded. */
static void be_patient(void)
{
    if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL)
        setenv("OMP_WAIT_POLICY", "passive", 0);
}

const tw_backend *tw_backend_open(const char *name)
{
    char symbol[64];
    be_patient();
    if (strlen(name) > 16 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(name)) {
        tw_fail("device %s: no such device", name);
        return NULL;
    }
    void *library = open_library(name);
    if (library == NULL)
        return NULL;
    snprintf(symbol, sizeof symbol, "tw_backend_%s", name);
    const tw_backend *be = dlsym(library, symbol);
    if (be != NULL && be->version == TW_BACKEND_VERSION)
        return be;
    tw_fail("device %s: libtwist-%s.so is of another version", name, name);
    dlclose(library);
    return NULL;
}

int tw_backend_failed(const tw_backend *be)
{
    return tw_fail("%s: %s", be->name, be->error());
}
