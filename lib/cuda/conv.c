/* Convolution by cuDNN on NHWC activations. When the weights have changed, they are copied into its layout [K,size,size,C]; weight gradients come
 * in that layout and are added to the plain ones. */
#include "cuda/conv_parts.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/launch.h"
#include "cuda/ops.h"

#include <stdlib.h>

static const size_t WORKSPACE_LIMIT = (size_t)512 << 20;

size_t tw_conv_input_count(const tw_conv *c)
{
    return (size_t)c->form.N * (size_t)(c->form.H * c->form.W) * (size_t)c->form.P;
}

size_t tw_conv_output_bytes(const tw_conv *c)
{
    return (size_t)c->shape.N * (size_t)(c->shape.OH * c->shape.OW) * (size_t)c->shape.K * tw_dtype_size(c->dev->precision);
}

size_t tw_conv_weight_count(const tw_conv *c)
{
    return (size_t)c->form.K * (size_t)(c->form.size * c->form.size) * (size_t)c->form.P;
}

int tw_conv_tune(tw_conv *c, tw_tuned *out, tw_dnn_pass pass, const tw_conv_shape *s, tw_conv_kind kind)
{
    const tw_dtype t = c->dev->precision;
    const size_t each = tw_dtype_size(t), channels = (size_t)s->K * sizeof(float), line = (size_t)s->C * each;
    tw_tune_operand operand[9] = {{TW_CONV_X, tw_conv_input_count(c) * each}, {TW_CONV_W, tw_conv_weight_count(c) * each},
                                  {TW_CONV_Y, tw_conv_output_bytes(c)}};
    int n = 3;
    if (tw_conv_sums(pass, kind)) {
        operand[n++] = (tw_tune_operand){TW_CONV_SUM, channels};
        operand[n++] = (tw_tune_operand){TW_CONV_SQUARES, channels};
    }
    if (kind == TW_CONV_NORM_APPLIED) {
        operand[n++] = (tw_tune_operand){TW_CONV_FROM, tw_conv_input_count(c) * each};
        operand[n++] = (tw_tune_operand){TW_CONV_SHORTCUT, tw_conv_input_count(c) * each};
    }
    if (kind == TW_CONV_NORM_THROUGH || kind == TW_CONV_NORM_APPLIED) {
        operand[n++] = (tw_tune_operand){TW_CONV_SCALE, line};
        operand[n++] = (tw_tune_operand){TW_CONV_OFFSET, line};
    }
    if (s->folded)
        operand[n++] = (tw_tune_operand){TW_CONV_BIAS, channels};
    if (s->folded && s->add)
        operand[n++] = (tw_tune_operand){TW_CONV_SHORTCUT, tw_conv_output_bytes(c)};
    const tw_dnn_site here = {.handle = c->dev->dnn};
    char key[160];
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_conv_graph(&b, pass, s, t, kind, &here);
    tw_conv_key(key, sizeof key, pass, s, t, kind);
    const int rc = graph == NULL ? 0 : tw_tune(out, c->dev, key, graph, operand, n, WORKSPACE_LIMIT);
    tw_dnn_fini(&b);
    return rc;
}

static int tune_pass(tw_conv *c, tw_dnn_pass pass)
{
    tw_conv_shape s = c->shape;
    s.folded = false;
    return tw_conv_tune(c, &c->pass[pass], pass, &s, TW_CONV_AS_IT_IS);
}

static int none(const tw_conv *c)
{
    const tw_conv_shape *s = &c->shape;
    return tw_fail("cuDNN has no convolution of %d x %d pixels, %d to %d channels, size %d, stride %d in %s", s->H, s->W, s->C, s->K, s->size,
                   s->stride, tw_dtype_name(c->dev->precision));
}

static int run(tw_conv *c, const tw_tuned *plan, void *x, void *w, void *y)
{
    const tw_dnn_operand operand[] = {{TW_CONV_X, x}, {TW_CONV_W, w}, {TW_CONV_Y, y}};
    return tw_tuned_run(plan, c->dev, operand, 3);
}

static int build(tw_conv *c)
{
    const bool train = c->shape.train;
    int rc = tune_pass(c, TW_DNN_FORWARD);
    if (rc > 0 && train && c->shape.data_gradient)
        rc = tune_pass(c, TW_DNN_DATA);
    if (rc > 0 && train)
        rc = tune_pass(c, TW_DNN_WEIGHTS);
    if (rc <= 0)
        return rc < 0 ? -1 : none(c);
    c->w = tw_dev_memory(tw_cuda_conv_bytes(c));
    if (c->w == NULL)
        return -1;
    if (c->shape.folded)
        return tw_conv_choose_folded(c);
    tw_conv_choose_norms(c);
    return 0;
}

tw_conv *tw_cuda_conv_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_conv *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    *c = (tw_conv){.dev = d, .shape = *s, .form = tw_conv_form_of(s, d->precision)};
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
    tw_tuned_fini(&c->together);
    tw_tuned_fini(&c->sums);
    tw_tuned_fini(&c->applied);
    for (int i = 0; i < 2; i++)
        tw_tuned_fini(&c->through[i]);
    cudaFree(c->w);
    cudaFree(c->shift);
    free(c);
}

size_t tw_cuda_conv_bytes(const tw_conv *c)
{
    return tw_conv_weight_count(c) * tw_dtype_size(c->dev->precision);
}

int tw_cuda_conv_weights(tw_conv *c, const float *w)
{
    return tw_launch_weights_in(c->w, w, &c->form, c->dev->precision, c->dev->stream);
}

bool tw_conv_as_it_is(const tw_conv *c)
{
    return c->form.block == 1 && c->form.P == c->shape.C;
}

/* Scratch memory for the input in the form that cuDNN gets. */
static void *formed(const tw_conv *c)
{
    return tw_dev_scratch(c->dev, TW_SCRATCH_PADDED, tw_conv_input_count(c) * tw_dtype_size(c->dev->precision));
}

void *tw_conv_input(const tw_conv *c, const void *x)
{
    if (tw_conv_as_it_is(c))
        return (void *)x;
    void *in = formed(c);
    if (in == NULL || tw_launch_form(in, x, &c->form, c->dev->precision, c->dev->stream) != 0)
        return NULL;
    return in;
}

int tw_cuda_conv_forward(tw_conv *c, void *y, const void *x)
{
    void *in = tw_conv_input(c, x);
    return in == NULL ? -1 : run(c, &c->pass[TW_DNN_FORWARD], in, c->w, y);
}

int tw_cuda_conv_backward_data(tw_conv *c, void *dx, const void *dy)
{
    if (tw_conv_as_it_is(c))
        return run(c, &c->pass[TW_DNN_DATA], dx, c->w, (void *)dy);
    void *in = formed(c);
    if (in == NULL || run(c, &c->pass[TW_DNN_DATA], in, c->w, (void *)dy) != 0)
        return -1;
    return tw_launch_unform(dx, in, &c->form, c->dev->precision, c->dev->stream);
}

int tw_cuda_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy)
{
    void *in = tw_conv_input(c, x), *g = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, tw_cuda_conv_bytes(c));
    if (in == NULL || g == NULL || run(c, &c->pass[TW_DNN_WEIGHTS], in, g, (void *)dy) != 0)
        return -1;
    return tw_launch_weights_out(dw, g, &c->form, c->dev->precision, c->dev->stream);
}
