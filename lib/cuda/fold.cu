/* Folds a norm, by its running statistics, into the weights of the convolution before it. */
#include "cuda/kernel.h"
#include "nn/formula.h"

/* folded, w: [K,each] */
static __global__ void fold(float *folded, float *shift, const float *w, tw_norm n, int64_t each)
{
    const int64_t all = n.C * each;
    for (int64_t i = TW_GRID_FROM; i < all; i += TW_GRID_STEP) {
        const int64_t k = i / each;
        const float scale = tw_norm_scale(n.gamma != NULL ? n.gamma[k] : 1, n.running_var[k]);
        folded[i] = w[i] * scale;
        if (i % each == 0)
            shift[k] = tw_norm_shift(n.beta != NULL ? n.beta[k] : 0, n.running_mean[k], scale);
    }
}

int tw_launch_fold(float *folded, float *shift, const float *w, const tw_norm *n, int64_t each, cudaStream_t stream)
{
    TW_LAUNCH(fold, tw_blocks(n->C * each), TW_BLOCK, stream, folded, shift, w, *n, each);
    return TW_LAUNCHED("folded weights");
}
