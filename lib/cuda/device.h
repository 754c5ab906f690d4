/* The GPU as a device: one stream on which all work is queued in order, handles of the libraries, scratch memory shared by all operations. */
#ifndef TW_CUDA_DEVICE_H
#define TW_CUDA_DEVICE_H

#include "nn/backend.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

/* Scratch memory has one block per purpose: different purposes may be in use at the same time, each by one user only. */
typedef enum {
    TW_SCRATCH_LIBRARY,  /* cuDNN's and cuBLASLt's workspace */
    TW_SCRATCH_PARTIAL,  /* partial sums of a reduction */
    TW_SCRATCH_PADDED,   /* an input in the form that cuDNN gets, channels padded (form.h) */
    TW_SCRATCH_MADE,     /* an input recomputed from a norm for one pass */
    TW_SCRATCH_GRADIENT, /* a weight gradient before it is added to the result; weights before they are packed into another layout */
    TW_SCRATCHES
} tw_scratch;

/* All-reduces of gradients that have been begun (peers_begin) but not yet queued on a stream: x [n]. */
typedef struct {
    tw_peers *by;
    float *x;
    size_t n;
    bool beside;     /* some are queued on the stream `beside`, which has not been joined with the main stream yet */
    bool met;        /* there was another sum since the last begin */
} tw_begun;

struct tw_dev {
    int number;          /* CUDA's number of the device in this process */
    tw_dtype precision;
    cudaStream_t stream;
    cudnnHandle_t dnn;
    cublasLtHandle_t blas;
    char name[80];       /* of the device and its libraries' versions, on which plans depend */
    void *scratch[TW_SCRATCHES];
    size_t scratch_bytes[TW_SCRATCHES];
    unsigned long moved;         /* counts reallocations of scratch memory: what was recorded before one cannot be replayed */
    const int64_t *step;         /* number of the step for dropout, in device memory; NULL: tw_drop's */
    struct tw_dnn_cache *plans;
    struct tw_attention_pass *attention; /* see attention.c */
    struct tw_gelu_pass *gelu; /* see linear_gelu.c */
    tw_peers *peers;             /* all-reduces open on this device; NULL: none */
    double patience;             /* seconds that copies wait for other ranks */
    tw_begun begun;
    cudaStream_t beside;         /* for sums begun: forked from the main stream and joined again */
    cudaEvent_t forked, joined;
    bool lost;                   /* a peer did not come to a sum: the stream may never finish */
    struct tw_dev_copies *copies;  /* see copies.c; NULL until first used */
};

void tw_dev_copies_free(struct tw_dev_copies *b); /* NULL is allowed */

/* At least `bytes` of device memory, contents undefined, valid until the next call for the same purpose. Grows only while a plan is made and in
 * its first step. NULL and tw_error(). */
void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes);

/* Frees the purpose's block if it is larger than `bytes`. */
void tw_dev_scratch_trim(tw_dev *d, tw_scratch purpose, size_t bytes);

/* Device memory as alloc's, but not zeroed. NULL and tw_error(). Free with cudaFree. */
void *tw_dev_memory(size_t bytes);

/* Check a call of CUDA, cuDNN, cuBLASLt: 0, or -1 and tw_error() naming the call. */
#define TW_CUDA(call) tw_cuda_check((call), #call)
#define TW_CUDNN(call) tw_cudnn_check((call), #call)
#define TW_CUBLAS(call) tw_cublas_check((call), #call)
int tw_cuda_check(cudaError_t status, const char *call);
int tw_cudnn_check(cudnnStatus_t status, const char *call);
int tw_cublas_check(cublasStatus_t status, const char *call);

#endif
