/* The CPU as a device: oneDNN's engine and stream, the number of threads, scratch memory that all operations share. */
#ifndef TW_CPU_DEVICE_H
#define TW_CPU_DEVICE_H

#include "nn/backend.h"

#include <oneapi/dnnl/dnnl.h>

/* Scratch memory is handed out by purpose: two purposes may be in use at once, one never twice. */
typedef enum {
    TW_SCRATCH_PRIMITIVE, /* oneDNN's own */
    TW_SCRATCH_PARTIAL,   /* partial sums of a reduction */
    TW_SCRATCH_NORM,      /* coefficients of a norm that is being applied */
    TW_SCRATCH_GRADIENT,  /* a weight gradient before it is added up */
    TW_SCRATCH_COLUMNS,   /* pixels under the taps of a kernel */
    TW_SCRATCH_PIXELS,    /* between a norm and max pooling */
    TW_SCRATCHES
} tw_scratch;

struct tw_dev {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    tw_dtype precision;
    bool own16; /* forward and data passes in bf16 by own kernels: faster than oneDNN's, unless that has matrix tiles (AMX) */
    int threads;
    void *scratch[TW_SCRATCHES];
    size_t scratch_bytes[TW_SCRATCHES];
};

/* At least so many bytes for the purpose, contents undefined; what was handed out for it before is gone. Grows while a plan
 * is made and in its first step, never after. NULL and tw_error(). */
void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes);

static inline dnnl_data_type_t tw_dnnl_type(tw_dtype t)
{
    return t == TW_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Calls oneDNN: 0, or -1 and tw_error() naming the call. */
#define TW_DNNL(call) tw_dnnl_check((call), #call)
int tw_dnnl_check(dnnl_status_t status, const char *call);

#endif
