#include "cuda/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/attention.h"
#include "cuda/linear.h"
#include "cuda/cache.h"
#include "cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device of this process: its rank on this machine, from the launcher's environment, modulo the number of devices. */
static int pick_device(int count)
{
    static const char *const local_rank[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"};
    for (size_t i = 0; i < sizeof local_rank / sizeof *local_rank; i++) {
        const char *text = getenv(local_rank[i]);
        if (text != NULL && text[0] >= '0' && text[0] <= '9')
            return atoi(text) % count;
    }
    return 0;
}

bool tw_cuda_computes(tw_dtype precision)
{
    return precision == TW_F32 || precision == TW_BF16 || precision == TW_F16;
}

int tw_cuda_devices(void)
{
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

static int open_device(tw_dev *d)
{
    const int count = tw_cuda_devices();
    struct cudaDeviceProp p;
    if (count < 1)
        return tw_fail("no working NVIDIA device found");
    d->number = pick_device(count);
    if (TW_CUDA(cudaSetDevice(d->number)) != 0 || TW_CUDA(cudaGetDeviceProperties(&p, d->number)) != 0)
        return -1;
    if (p.major < 8)
        return tw_fail("%s: of compute capability %d.%d: want 8.0 or newer", p.name, p.major, p.minor);
    int driver = 0;
    if (TW_CUDA(cudaDriverGetVersion(&driver)) != 0)
        return -1;
    snprintf(d->name, sizeof d->name, "%.44s, cuDNN %zu, driver %d", p.name, cudnnGetVersion(), driver);
    return 0;
}

tw_dev *tw_cuda_open(tw_dtype precision, int threads)
{
    (void)threads;
    if (!tw_cuda_computes(precision)) {
        tw_fail("a GPU computes in fp32, bf16 and fp16, not in %s", tw_dtype_name(precision));
        return NULL;
    }
    tw_dev *d = tw_calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->precision = precision;
    if (open_device(d) == 0 && TW_CUDA(cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking)) == 0 &&
        TW_CUDNN(cudnnCreate(&d->dnn)) == 0 && TW_CUDNN(cudnnSetStream(d->dnn, d->stream)) == 0 &&
        TW_CUBLAS(cublasLtCreate(&d->blas)) == 0 && (d->plans = tw_dnn_cache_open(d->name)) != NULL)
        return d;
    tw_cuda_close(d);
    return NULL;
}

void tw_cuda_close(tw_dev *d)
{
    if (d == NULL)
        return;
    if (d->stream != NULL && !d->lost)
        cudaStreamSynchronize(d->stream);
    for (int i = 0; i < TW_SCRATCHES; i++)
        cudaFree(d->scratch[i]);
    tw_attention_close(d);
    tw_linear_gelu_close(d);
    tw_dev_copies_free(d->copies);
    tw_dnn_cache_close(d->plans);
    if (d->blas != NULL)
        cublasLtDestroy(d->blas);
    if (d->dnn != NULL)
        cudnnDestroy(d->dnn);
    if (d->beside != NULL)
        cudaStreamDestroy(d->beside);
    if (d->forked != NULL)
        cudaEventDestroy(d->forked);
    if (d->joined != NULL)
        cudaEventDestroy(d->joined);
    if (d->stream != NULL)
        cudaStreamDestroy(d->stream);
    free(d);
}

void tw_cuda_enter(tw_dev *d)
{
    cudaSetDevice(d->number); /* a setting of the calling thread */
}

void *tw_dev_memory(size_t bytes)
{
    void *p = NULL;
    if (cudaMalloc(&p, bytes > 0 ? bytes : 1) == cudaSuccess)
        return p;
    cudaGetLastError(); /* clears the error, so that the next launch does not report it */
    size_t left = 0, total = 0;
    cudaMemGetInfo(&left, &total);
    tw_fail("out of device memory: %.0f MB wanted, %.0f of %.0f MB left", (double)bytes / 1e6, (double)left / 1e6, (double)total / 1e6);
    return NULL;
}

void *tw_cuda_alloc(tw_dev *d, size_t bytes)
{
    void *p = tw_dev_memory(bytes);
    if (p != NULL && TW_CUDA(cudaMemsetAsync(p, 0, bytes, d->stream)) == 0)
        return p;
    cudaFree(p);
    return NULL;
}

void tw_cuda_release(tw_dev *d, void *p)
{
    (void)d;
    cudaFree(p); /* waits for what uses it */
}

void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes)
{
    if (bytes <= d->scratch_bytes[purpose] && d->scratch[purpose] != NULL)
        return d->scratch[purpose];
    void *p = tw_dev_memory(bytes);
    if (p == NULL)
        return NULL;
    cudaFree(d->scratch[purpose]);
    d->scratch[purpose] = p;
    d->scratch_bytes[purpose] = bytes;
    d->moved++;
    return p;
}

void tw_dev_scratch_trim(tw_dev *d, tw_scratch purpose, size_t bytes)
{
    if (d->scratch_bytes[purpose] <= bytes)
        return;
    cudaFree(d->scratch[purpose]);
    d->scratch[purpose] = NULL;
    d->scratch_bytes[purpose] = 0;
    d->moved++;
}
