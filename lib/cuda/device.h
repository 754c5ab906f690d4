/* The GPU as a device: one stream that all work is put on in order, handles of the libraries, scratch memory that all
 * operations share. */
#ifndef TW_CUDA_DEVICE_H
#define TW_CUDA_DEVICE_H

#include "nn/backend.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

/* Scratch memory is handed out by purpose: two purposes may be in use at once, one never twice. */
typedef enum {
    TW_SCRATCH_LIBRARY,  /* cuDNN's and cuBLASLt's workspace */
    TW_SCRATCH_PARTIAL,  /* partial sums of a reduction */
    TW_SCRATCH_PADDED,   /* an input whose channels are filled up */
    TW_SCRATCH_MADE,     /* an input that a norm makes for one pass */
    TW_SCRATCH_GRADIENT, /* a weight gradient before it is added up; weights on their way into another layout */
    TW_SCRATCHES
} tw_scratch;

/* Sums of gradients that have been begun: those not yet on a stream, x [n]. */
typedef struct {
    tw_peers *by;
    float *x;
    size_t n;
    bool beside;     /* some are on the stream beside, which the other has not been joined with */
    bool met;        /* there was another sum since the last one was begun */
} tw_begun;

struct tw_dev {
    int number;          /* among the devices that this process sees */
    tw_dtype precision;
    cudaStream_t stream;
    cudnnHandle_t dnn;
    cublasLtHandle_t blas;
    char name[80];       /* of the device and its libraries: what plans depend on */
    void *scratch[TW_SCRATCHES];
    size_t scratch_bytes[TW_SCRATCHES];
    unsigned long moved;         /* counts how often scratch memory has moved: what was recorded before cannot be played */
    const int64_t *step;         /* number of the step for dropout, in device memory; NULL: as the call says */
    struct tw_dnn_cache *plans;
    struct tw_attention_pass *attention; /* see attention.c */
    struct tw_gelu_pass *gelu; /* see linear_gelu.c */
    tw_peers *peers;             /* what ranks sum by; NULL: nothing */
    double patience;             /* seconds that copies wait for them */
    tw_begun begun;
    cudaStream_t beside;         /* for sums begun: forked from the stream and joined again */
    cudaEvent_t forked, joined;
    bool lost;                   /* a peer has not come: the stream may never be done */
    struct tw_dev_copies *copies;  /* see copies.c; NULL until they are asked for */
};

void tw_dev_copies_free(struct tw_dev_copies *b); /* NULL is allowed */

/* At least so many bytes of device memory for the purpose, contents undefined; what was handed out for it before is gone.
 * Grows while a plan is made and in its first step, never after. NULL and tw_error(). */
void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes);

/* Frees what there is for the purpose, if that is more than so many bytes. */
void tw_dev_scratch_trim(tw_dev *d, tw_scratch purpose, size_t bytes);

/* Plain device memory beside alloc's, which is not zeroed. NULL and tw_error(). */
void *tw_dev_memory(size_t bytes);

/* Call CUDA, cuDNN, cuBLASLt: 0, or -1 and tw_error() naming the call. */
#define TW_CUDA(call) tw_cuda_check((call), #call)
#define TW_CUDNN(call) tw_cudnn_check((call), #call)
#define TW_CUBLAS(call) tw_cublas_check((call), #call)
int tw_cuda_check(cudaError_t status, const char *call);
int tw_cudnn_check(cudnnStatus_t status, const char *call);
int tw_cublas_check(cublasStatus_t status, const char *call);

#endif
