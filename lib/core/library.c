#include "core/library.h"

#include "core/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running executable, without a slash at the end; "" if it is unknown. */
static void own_folder(char *out, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* A library that exists but does not load is an error: no other place is tried. */
void *tw_library_open(const char *name)
{
    char folder[PATH_MAX], path[PATH_MAX + 300];
    own_folder(folder, sizeof folder);
    for (int i = 0; i < 3; i++) {
        static const char *const where[] = {"%s/libtwist-%s.so", "%s/../lib/libtwist-%s.so"};
        if (i < 2)
            snprintf(path, sizeof path, where[i], folder, name);
        else
            snprintf(path, sizeof path, "libtwist-%s.so", name);
        if (i < 2 && access(path, R_OK) != 0)
            continue;
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            tw_fail("device %s: %s", name, dlerror());
        return library;
    }
    return NULL;
}
