/* Evaluation: a convolution with the norm that follows it folded in, the norm's scale into the weights, its shift as a bias. */
#include "cuda/conv_parts.h"

#include "core/mem.h"
#include "cuda/launch.h"
#include "cuda/ops.h"

#include <stdlib.h>

/* Allocates c->shift, with zeros and ones after the shift: mean and rstd of an identity norm, by which the separate way adds the shift. */
static int make_shift(tw_conv *c)
{
    const size_t K = (size_t)c->shape.K;
    float *block = tw_calloc(3 * K, sizeof *block);
    c->shift = tw_cuda_alloc(c->dev, 3 * K * sizeof *c->shift);
    for (size_t k = 0; block != NULL && k < K; k++)
        block[2 * K + k] = 1;
    const int rc = block == NULL || c->shift == NULL ? -1 : tw_cuda_upload(c->dev, c->shift, block, 3 * K * sizeof *block);
    free(block);
    return rc;
}

static int run_together(tw_conv *c, void *y, const void *x, const void *shortcut)
{
    void *in = tw_conv_input(c, x);
    const tw_dnn_operand operand[] = {{TW_CONV_X, in}, {TW_CONV_W, c->w}, {TW_CONV_Y, y}, {TW_CONV_BIAS, c->shift},
                                      {TW_CONV_SHORTCUT, (void *)shortcut}};
    return in == NULL ? -1 : tw_tuned_run(&c->together, c->dev, operand, c->shape.add ? 5 : 4);
}

static int run_apart(tw_conv *c, void *y, const void *x, const void *shortcut)
{
    const tw_conv_shape *s = &c->shape;
    const tw_norm n = {.rows = (int64_t)s->N * s->OH * s->OW, .C = s->K, .relu = s->relu, .beta = c->shift, .mean = c->shift + s->K,
                       .rstd = c->shift + 2 * s->K};
    return tw_cuda_conv_forward(c, y, x) != 0 ? -1 : tw_cuda_norm_apply(c->dev, &n, y, y, shortcut);
}

static int try_together(void *trial)
{
    const tw_conv_trial *t = trial;
    return run_together(t->c, t->y, t->x, t->shortcut);
}

static int try_apart(void *trial)
{
    const tw_conv_trial *t = trial;
    return run_apart(t->c, t->y, t->x, t->c->shape.add ? t->shortcut : NULL);
}

int tw_conv_choose_folded(tw_conv *c)
{
    static const tw_dnn_pass forward = TW_DNN_FORWARD;
    if (make_shift(c) != 0)
        return -1;
    tw_conv_choose(c, &c->together, &forward, 1, TW_CONV_AS_IT_IS, try_together, try_apart);
    return 0;
}

int tw_cuda_conv_fold(tw_conv *c, const float *w, const tw_norm *n)
{
    const tw_conv_shape *s = &c->shape;
    const int64_t each = (int64_t)s->C * s->size * s->size;
    float *folded = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, (size_t)(s->K * each) * sizeof *folded);
    if (folded == NULL || tw_launch_fold(folded, c->shift, w, n, each, c->dev->stream) != 0)
        return -1;
    return tw_cuda_conv_weights(c, folded);
}

int tw_cuda_conv_folded(tw_conv *c, void *y, const void *x, const void *shortcut)
{
    return c->together.plan != NULL ? run_together(c, y, x, shortcut) : run_apart(c, y, x, shortcut);
}
