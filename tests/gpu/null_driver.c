/* A libcuda.so.1 with no device behind it: cuDNN can make plans whose kernels it compiles when they are made, attention's among them.
 * NVRTC compiles them, nothing loads or runs. Every function of the driver answers success and does nothing, but for those that
 * planning asks something. */
#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <stddef.h>

#undef cuGetProcAddress

static int something; /* what handles point to */

__attribute__((used)) static CUresult nothing(void)
{
    return CUDA_SUCCESS;
}

/* What cuDNN looks up and does not read an answer from. */
#define DOES_NOTHING(name) __asm__(".globl " #name "\n.set " #name ", nothing")
DOES_NOTHING(cuGetErrorName);
DOES_NOTHING(cuCtxGetCurrent);
DOES_NOTHING(cuCtxGetLimit);
DOES_NOTHING(cuCtxPopCurrent);
DOES_NOTHING(cuCtxPushCurrent);
DOES_NOTHING(cuStreamGetCtx);
DOES_NOTHING(cuLinkCreate);
DOES_NOTHING(cuLinkAddData);
DOES_NOTHING(cuLinkComplete);
DOES_NOTHING(cuLinkDestroy);
DOES_NOTHING(cuLaunchKernel);
DOES_NOTHING(cuLaunchKernelEx);
DOES_NOTHING(cuLaunchCooperativeKernel);
DOES_NOTHING(cuDeviceGet);
DOES_NOTHING(cuLibraryLoadFromFile);
DOES_NOTHING(cuLibraryUnload);
DOES_NOTHING(cuKernelSetAttribute);
DOES_NOTHING(cuKernelGetAttribute);
DOES_NOTHING(cuOccupancyMaxPotentialClusterSize);

CUresult cuInit(unsigned flags)
{
    (void)flags;
    return CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n)
{
    *n = 0;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult e, const char **text)
{
    (void)e;
    *text = "no driver";
    return CUDA_SUCCESS;
}

CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
    (void)id;
    *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress_v2(const char *name, void **p, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *found)
{
    void *self = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD), *own = self == NULL ? NULL : dlsym(self, name);
    (void)version, (void)flags;
    *p = own != NULL ? own : (void *)nothing;
    if (found != NULL)
        *found = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *name, void **p, int version, cuuint64_t flags)
{
    return cuGetProcAddress_v2(name, p, version, flags, NULL);
}

CUresult cuLibraryLoadData(CUlibrary *l, const void *code, CUjit_option *o, void **v, unsigned n, CUlibraryOption *lo, void **lv, unsigned m)
{
    (void)code, (void)o, (void)v, (void)n, (void)lo, (void)lv, (void)m;
    *l = (CUlibrary)&something;
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *k, CUlibrary l, const char *name)
{
    (void)l, (void)name;
    *k = (CUkernel)&something;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction *f, CUkernel k)
{
    (void)k;
    *f = (CUfunction)&something;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *m, const void *code)
{
    (void)code;
    *m = (CUmodule)&something;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *m, const void *code, unsigned n, CUjit_option *o, void **v)
{
    (void)n, (void)o, (void)v;
    return cuModuleLoadData(m, code);
}

CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
    (void)m, (void)name;
    *f = (CUfunction)&something;
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, CUfunction f, int block, size_t shared)
{
    (void)f, (void)block, (void)shared;
    *n = 1;
    return CUDA_SUCCESS;
}

/* An H200's groups of SMs hold 16 or 18: about 128 can be used in clusters. */
CUresult cuOccupancyMaxActiveClusters(int *n, CUfunction f, const CUlaunchConfig *c)
{
    unsigned size = 1;
    (void)f;
    for (unsigned i = 0; c != NULL && i < c->numAttrs; i++)
        if (c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            size = c->attrs[i].value.clusterDim.x * c->attrs[i].value.clusterDim.y * c->attrs[i].value.clusterDim.z;
    *n = size > 1 ? 128 / (int)size : 132;
    return CUDA_SUCCESS;
}
