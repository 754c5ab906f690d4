/* The CPU as a device: oneDNN's engine and stream, the number of threads, scratch memory shared by all operations. */
#ifndef TW_CPU_DEVICE_H
#define TW_CPU_DEVICE_H

#include "nn/backend.h"

#include <oneapi/dnnl/dnnl.h>

/* Scratch memory has one block per purpose: different purposes may be in use at the same time, each by one user only. */
typedef enum {
    TW_SCRATCH_PRIMITIVE, /* oneDNN's own */
    TW_SCRATCH_PARTIAL,   /* partial sums of a reduction */
    TW_SCRATCH_NORM,      /* coefficients of a norm that is being applied */
    TW_SCRATCH_GRADIENT,  /* a weight gradient before it is added to the result */
    TW_SCRATCH_COLUMNS,   /* im2col: pixels under the taps of a kernel */
    TW_SCRATCH_PIXELS,    /* activations between a norm and max pooling */
    TW_SCRATCHES
} tw_scratch;

struct tw_dev {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    tw_dtype precision;
    bool own16; /* bf16 forward passes and data gradients by own kernels: faster than oneDNN's, unless oneDNN has AMX */
    int threads;
    void *scratch[TW_SCRATCHES];
    size_t scratch_bytes[TW_SCRATCHES];
};

/* At least `bytes` of scratch memory, contents undefined, valid until the next call for the same purpose. Grows only while a plan is made and in
 * its first step. NULL and tw_error(). */
void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes);

static inline dnnl_data_type_t tw_dnnl_type(tw_dtype t)
{
    return t == TW_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Calls oneDNN: 0, or -1 and tw_error() naming the call. */
#define TW_DNNL(call) tw_dnnl_check((call), #call)
int tw_dnnl_check(dnnl_status_t status, const char *call);

#endif
