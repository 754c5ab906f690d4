/* Copies that overlap computation: a stream for each direction, ordered with the computation's stream by events. */
#include "cuda/ops.h"

#include "core/mem.h"
#include "cuda/device.h"
#include "cuda/launch.h"

#include <stdlib.h>

struct tw_dev_copies {
    cudaStream_t up, down;
    cudaEvent_t arrived, computed, returned[2];
};

static int open_copies(struct tw_dev_copies *b)
{
    cudaEvent_t *const event[] = {&b->arrived, &b->computed, &b->returned[0], &b->returned[1]};
    if (TW_CUDA(cudaStreamCreateWithFlags(&b->up, cudaStreamNonBlocking)) != 0 ||
        TW_CUDA(cudaStreamCreateWithFlags(&b->down, cudaStreamNonBlocking)) != 0)
        return -1;
    for (size_t i = 0; i < sizeof event / sizeof *event; i++)
        if (TW_CUDA(cudaEventCreateWithFlags(event[i], cudaEventDisableTiming)) != 0)
            return -1;
    return 0;
}

void tw_dev_copies_free(struct tw_dev_copies *b)
{
    if (b == NULL)
        return;
    cudaEvent_t const event[] = {b->arrived, b->computed, b->returned[0], b->returned[1]};
    for (size_t i = 0; i < sizeof event / sizeof *event; i++)
        if (event[i] != NULL)
            cudaEventDestroy(event[i]);
    if (b->up != NULL)
        cudaStreamDestroy(b->up);
    if (b->down != NULL)
        cudaStreamDestroy(b->down);
    free(b);
}

/* The device's copy streams, made at first use. NULL and tw_error(). */
static struct tw_dev_copies *copies(tw_dev *d)
{
    if (d->copies != NULL)
        return d->copies;
    struct tw_dev_copies *b = tw_calloc(1, sizeof *b);
    if (b != NULL && open_copies(b) == 0)
        return d->copies = b;
    tw_dev_copies_free(b);
    return NULL;
}

int tw_cuda_upload_ahead(tw_dev *d, void *to, const void *from, size_t bytes)
{
    struct tw_dev_copies *b = copies(d);
    if (b == NULL || TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, b->up)) != 0 ||
        TW_CUDA(cudaEventRecord(b->arrived, b->up)) != 0)
        return -1;
    return TW_CUDA(cudaStreamWaitEvent(d->stream, b->arrived, 0));
}

int tw_cuda_to_f32_behind(tw_dev *d, float *y, float *between, const void *x, size_t n, int slot)
{
    struct tw_dev_copies *b = copies(d);
    if (b == NULL || tw_launch_to_f32(between, x, (int64_t)n, d->precision, d->stream) != 0 ||
        TW_CUDA(cudaEventRecord(b->computed, d->stream)) != 0 || TW_CUDA(cudaStreamWaitEvent(b->down, b->computed, 0)) != 0 ||
        TW_CUDA(cudaMemcpyAsync(y, between, n * sizeof *y, cudaMemcpyDeviceToHost, b->down)) != 0)
        return -1;
    return TW_CUDA(cudaEventRecord(b->returned[slot], b->down));
}

int tw_cuda_wait_for(tw_dev *d, int slot)
{
    return d->copies == NULL ? 0 : TW_CUDA(cudaEventSynchronize(d->copies->returned[slot]));
}
