#include "nn/backend.h"

#include "core/error.h"
#include "core/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes OpenMP's threads spin for some microseconds between kernels and then sleep. Sleeping at once costs a tenth of a step in wake-ups;
 * spinning for longer takes the cores from the pipeline's other programs and, where one of the team's threads is not scheduled, costs a
 * time slice at every barrier. libgomp reads these variables when it is loaded. */
static void be_patient(void)
{
    if (getenv("OMP_WAIT_POLICY") == NULL)
        setenv("GOMP_SPINCOUNT", "2000", 0);
}

const tw_backend *tw_backend_open(const char *name)
{
    char symbol[64];
    be_patient();
    if (strlen(name) > 16 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(name)) {
        tw_fail("device %s: no such device", name);
        return NULL;
    }
    void *library = tw_library_open(name);
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

const char *const tw_device_names[] = {"auto", "cpu", "cuda", NULL};

const char *tw_backend_choose(const char *device)
{
    if (strcmp(device, "cpu") == 0)
        return "cpu";
    const tw_backend *be = tw_backend_open("cuda");
    if (be != NULL && be->devices() > 0)
        return "cuda";
    if (strcmp(device, "auto") == 0)
        return "cpu";
    tw_fail("--device=%s: %s", device, be == NULL ? tw_error() : "no working NVIDIA device found");
    return NULL;
}

int tw_backend_failed(const tw_backend *be)
{
    return tw_fail("%s: %s", be->name, be->error());
}
