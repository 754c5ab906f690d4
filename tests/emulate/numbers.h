/* Numbers of the types that the libraries compute with, by cuDNN's names. */
#ifndef EMULATE_NUMBERS_H
#define EMULATE_NUMBERS_H

#include "emulate.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cudnn.h>
#include <stdlib.h>
#include <vector>

double &emu_clock(); /* milliseconds */

static inline float emu_get(const void *p, int64_t i, int type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT: return ((const float *)p)[i];
    case CUDNN_DATA_BFLOAT16: return __bfloat162float(((const __nv_bfloat16 *)p)[i]);
    case CUDNN_DATA_HALF: return __half2float(((const __half *)p)[i]);
    default: abort();
    }
}

static inline void emu_put(void *p, int64_t i, float v, int type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT: ((float *)p)[i] = v; break;
    case CUDNN_DATA_BFLOAT16: ((__nv_bfloat16 *)p)[i] = __float2bfloat16_rn(v); break;
    case CUDNN_DATA_HALF: ((__half *)p)[i] = __float2half_rn(v); break;
    default: abort();
    }
}

#endif
