/* Dropout by the numbers that the CPU draws (core/philox.h): a thread has the four columns of one block of the stream. */
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

/* step: where its number is, instead of d.step; or NULL. */
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

/* Launchers. */

int tw_launch_dropout(const tw_drop *drop, const int64_t *step, void *y, const void *x, int rows, int C, tw_dtype t, cudaStream_t stream)
{
    const int across = (C + 3) / 4;
    const int64_t n = (int64_t)rows * across;
    TW_BY_TYPE(t, TW_LAUNCH((drop_out<T>), tw_blocks(n), TW_BLOCK, stream, *drop, step, (T *)y, (const T *)x, C, across, n));
    return TW_LAUNCHED("dropout");
}
