/* Convolution: cuDNN on NHWC activations. Weights are copied into its layout [K,size,size,C] when they have changed; weight gradients
 * come in that layout and are added to the plain ones. */
#include "cuda/conv.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <stdlib.h>

struct tw_conv {
    tw_dev *dev;
    tw_conv_shape shape;
    int P;              /* channels of the input with what they are filled up with */
    tw_tuned pass[3];   /* by tw_dnn_pass */
    bool wide;          /* the weight gradient is f32 */
    void *w;            /* in cuDNN's layout */
};

static size_t weight_count(const tw_conv *c)
{
    return (size_t)c->shape.K * (size_t)(c->shape.size * c->shape.size) * (size_t)c->P;
}

/* As tw_tune. */
static int tune_pass(tw_conv *c, tw_dnn_pass pass, bool wide)
{
    const tw_conv_shape *s = &c->shape;
    const tw_dtype t = c->dev->precision;
    const size_t each = tw_dtype_size(t), w = weight_count(c) * (pass == TW_DNN_WEIGHTS && wide ? sizeof(float) : each);
    const tw_tune_operand operand[] = {{TW_CONV_X, (size_t)s->N * (size_t)(s->H * s->W) * (size_t)c->P * each},
                                       {TW_CONV_W, w},
                                       {TW_CONV_Y, (size_t)s->N * (size_t)(s->OH * s->OW) * (size_t)s->K * each}};
    const tw_dnn_site here = {.handle = c->dev->dnn};
    char key[160];
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_conv_graph(&b, pass, s, t, wide, &here);
    tw_conv_key(key, sizeof key, pass, s, t, wide);
    const int rc = graph == NULL ? 0 : tw_tune(&c->pass[pass], c->dev, key, graph, operand, 3);
    tw_dnn_fini(&b);
    return rc;
}

static int none(const tw_conv *c)
{
    const tw_conv_shape *s = &c->shape;
    return tw_fail("cuDNN has no convolution of %d x %d pixels, %d to %d channels, size %d, stride %d in %s", s->H, s->W, s->C, s->K, s->size,
                   s->stride, tw_dtype_name(c->dev->precision));
}

static int build(tw_conv *c)
{
    const bool wide = c->dev->precision != TW_F32;
    int rc = tune_pass(c, TW_DNN_FORWARD, false);
    if (rc > 0 && c->shape.train && c->shape.data_gradient)
        rc = tune_pass(c, TW_DNN_DATA, false);
    if (rc > 0 && c->shape.train) { /* in f32 where there is a way, else rounded once to the type of the activations */
        rc = wide ? tune_pass(c, TW_DNN_WEIGHTS, true) : 0;
        c->wide = rc > 0;
        if (rc == 0)
            rc = tune_pass(c, TW_DNN_WEIGHTS, false);
    }
    if (rc <= 0)
        return rc < 0 ? -1 : none(c);
    c->w = tw_dev_memory(weight_count(c) * tw_dtype_size(c->dev->precision));
    return c->w != NULL ? 0 : -1;
}

tw_conv *tw_cuda_conv_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_conv *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    *c = (tw_conv){.dev = d, .shape = *s, .P = tw_conv_channels(s, d->precision)};
    if (build(c) == 0)
        return c;
    tw_cuda_conv_free(c);
    return NULL;
}

void tw_cuda_conv_free(tw_conv *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < 3; i++)
        tw_tuned_fini(&c->pass[i]);
    cudaFree(c->w);
    free(c);
}

size_t tw_cuda_conv_bytes(const tw_conv *c)
{
    return weight_count(c) * tw_dtype_size(c->dev->precision);
}

int tw_cuda_conv_weights(tw_conv *c, const float *w)
{
    const tw_conv_shape *s = &c->shape;
    return tw_launch_weights_in(c->w, w, s->K, s->C, c->P, s->size * s->size, c->dev->precision, c->dev->stream);
}

static int64_t pixels(const tw_conv *c)
{
    return (int64_t)c->shape.N * c->shape.H * c->shape.W;
}

/* Room for the input with all its channels. */
static void *padded(const tw_conv *c)
{
    return tw_dev_scratch(c->dev, TW_SCRATCH_PADDED, (size_t)pixels(c) * (size_t)c->P * tw_dtype_size(c->dev->precision));
}

/* x, or a copy with its channels filled up. NULL and tw_error(). */
static void *input_of(const tw_conv *c, const void *x)
{
    if (c->P == c->shape.C)
        return (void *)x;
    void *wide = padded(c);
    if (wide == NULL || tw_launch_pad(wide, x, pixels(c), c->shape.C, c->P, c->dev->precision, c->dev->stream) != 0)
        return NULL;
    return wide;
}

static int run(tw_conv *c, tw_dnn_pass pass, void *x, void *w, void *y)
{
    const tw_dnn_operand operand[] = {{TW_CONV_X, x}, {TW_CONV_W, w}, {TW_CONV_Y, y}};
    return tw_tuned_run(&c->pass[pass], c->dev, operand, 3);
}

int tw_cuda_conv_forward(tw_conv *c, void *y, const void *x)
{
    void *in = input_of(c, x);
    return in == NULL ? -1 : run(c, TW_DNN_FORWARD, in, c->w, y);
}

int tw_cuda_conv_backward_data(tw_conv *c, void *dx, const void *dy)
{
    if (c->P == c->shape.C)
        return run(c, TW_DNN_DATA, dx, c->w, (void *)dy);
    void *wide = padded(c);
    if (wide == NULL || run(c, TW_DNN_DATA, wide, c->w, (void *)dy) != 0)
        return -1;
    return tw_launch_unpad(dx, wide, pixels(c), c->shape.C, c->P, c->dev->precision, c->dev->stream);
}

int tw_cuda_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy)
{
    const tw_conv_shape *s = &c->shape;
    const tw_dtype t = c->wide ? TW_F32 : c->dev->precision;
    void *in = input_of(c, x), *g = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, weight_count(c) * tw_dtype_size(t));
    if (in == NULL || g == NULL || run(c, TW_DNN_WEIGHTS, in, g, (void *)dy) != 0)
        return -1;
    return tw_launch_weights_out(dw, g, s->K, s->C, c->P, s->size * s->size, t, c->dev->stream);
}
