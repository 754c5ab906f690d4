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

/* a . b, in eight sums: a compiler can take them at once. */
static inline float emu_dot(const float *a, const float *b, int64_t n)
{
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += a[i + j] * b[i + j];
    for (int j = 0; i < n; i++, j++)
        sum[j] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* a += s b */
static inline void emu_add_scaled(float *__restrict__ a, const float *__restrict__ b, float s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] += s * b[i];
}

#endif
