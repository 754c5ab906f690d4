/* Dropout with the CPU's random numbers (core/philox.h): a thread does four columns, those of one Philox block. Stochastic depth likewise: the first
 * number of a sample's stream decides about the sample. */
#include "cuda/kernel.h"

#include "core/philox.h"
#include "nn/formula.h"

#include <Random123/philox.h>

/* Kernels. */

/* Block i of the row's stream: see tw_drop and tw_rng_init. */
static __device__ inline philox4x32_ctr_t draw(const tw_drop &d, int64_t row, uint32_t i)
{
    const philox4x32_ctr_t counter = {{i, (uint32_t)d.step, (uint32_t)((uint64_t)d.step >> 32 & 0xff) | tw_drop_number(&d, row) << 8,
                                       (uint32_t)TW_USE_DROP << 16 | ((uint32_t)d.layer & 0xffff)}};
    const philox4x32_key_t key = {{(uint32_t)d.seed, (uint32_t)(d.seed >> 32)}};
    return philox4x32(counter, key);
}

/* step: number of the step in device memory, used instead of d.step; or NULL. */
template <typename T> static __global__ void drop_out(tw_drop d, const int64_t *step, T *y, const T *x, int C, int across, int64_t n)
{
    if (step != NULL)
        d.step = *step;
    const double limit = d.p * 4294967296.0;
    const float scale = (float)(1 / (1 - d.p));
    for (int64_t i = TW_GRID_FROM; i < n; i += TW_GRID_STEP) {
        const int64_t row = i / across;
        const int first = (int)(i % across) * 4;
        const philox4x32_ctr_t number = draw(d, row, (uint32_t)(i % across));
        for (int k = 0; k < 4 && first + k < C; k++) {
            const int64_t at = row * C + first + k;
            y[at] = tw_narrow<T>((double)number.v[k] >= limit ? tw_widen(x[at]) * scale : 0);
        }
    }
}

/* A sample is split into `parts` blocks. */
template <typename T, int V> static __global__ void add_branch(tw_drop d, const int64_t *step, T *y, const T *x, const T *shortcut, int parts,
                                                               int64_t each)
{
    const int64_t sample = blockIdx.x / parts, from = sample * each, to = from + each;
    float scale = 1;
    if (step != NULL)
        d.step = *step;
    if (d.p > 0)
        scale = (double)draw(d, sample, 0).v[0] >= d.p * 4294967296.0 ? (float)(1 / (1 - d.p)) : 0;
    for (int64_t i = from + (blockIdx.x % parts * (int64_t)blockDim.x + threadIdx.x) * V; i < to; i += (int64_t)parts * blockDim.x * V) {
        float v[V], s[V] = {0};
        tw_load<T, V>(v, x + i);
        if (shortcut != NULL)
            tw_load<T, V>(s, shortcut + i);
#pragma unroll
        for (int k = 0; k < V; k++)
            s[k] += scale * v[k];
        tw_store<T, V>(y + i, s);
    }
}

/* Launchers. */

int tw_launch_dropout(const tw_drop *drop, const int64_t *step, void *y, const void *x, int rows, int C, tw_dtype t, cudaStream_t stream)
{
    const int across = (C + 3) / 4;
    const int64_t n = (int64_t)rows * across;
    TW_BY_TYPE(t, TW_LAUNCH((drop_out<T>), tw_blocks(n), TW_BLOCK, stream, *drop, step, (T *)y, (const T *)x, C, across, n));
    return TW_LAUNCHED("dropout");
}

int tw_launch_residual(const tw_drop *drop, const int64_t *step, void *y, const void *x, const void *shortcut, int N, int64_t each, tw_dtype t,
                       cudaStream_t stream)
{
    enum { A_THREAD = 4 }; /* vectors */
    const int64_t W = 16 / (int64_t)tw_dtype_size(t), parts = tw_pieces(each, A_THREAD * TW_BLOCK * (each % W == 0 ? W : 1));
    const unsigned blocks = (unsigned)(N * parts);
    if (each % W == 0)
        TW_BY_TYPE(t, TW_LAUNCH((add_branch<T, tw_wide<T>::N>), blocks, TW_BLOCK, stream, *drop, step, (T *)y, (const T *)x, (const T *)shortcut,
                                (int)parts, each));
    else
        TW_BY_TYPE(t, TW_LAUNCH((add_branch<T, 1>), blocks, TW_BLOCK, stream, *drop, step, (T *)y, (const T *)x, (const T *)shortcut, (int)parts,
                                each));
    return TW_LAUNCHED("residual");
}
