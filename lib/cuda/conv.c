/* Convolution: cuDNN on NHWC activations. Weights are copied into its layout [K,size,size,C] when they have changed; weight gradients
 * come in that layout and are added to the plain ones. */
#include "cuda/conv.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/cache.h"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <stdlib.h>
#include <string.h>

struct tw_conv {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_conv_form form;
    tw_tuned pass[3];   /* by tw_dnn_pass */
    tw_tuned sums;      /* forward, with the sums of y: where there is a plan that is not slower than the parts */
    bool wide;          /* the weight gradient is f32 */
    void *w;            /* in cuDNN's layout */
    tw_tuned together;  /* of a folded shape: all in one plan, where there is one that is not slower than the parts */
    float *shift;       /* of the norm that is folded in; zeros; ones: [K] each. NULL: none is */
};

/* Numbers of the input as cuDNN gets it. */
static size_t input_count(const tw_conv *c)
{
    return (size_t)c->form.N * (size_t)(c->form.H * c->form.W) * (size_t)c->form.P;
}

static size_t output_bytes(const tw_conv *c)
{
    return (size_t)c->shape.N * (size_t)(c->shape.OH * c->shape.OW) * (size_t)c->shape.K * tw_dtype_size(c->dev->precision);
}

static size_t weight_count(const tw_conv *c)
{
    return (size_t)c->form.K * (size_t)(c->form.size * c->form.size) * (size_t)c->form.P;
}

/* The operands of one plan: x, w and y, and two of a folded norm or of sums. */
static int operands_of(const tw_conv_shape *s, bool together)
{
    return !together ? 3 : !s->add ? 4 : 5;
}

/* As tw_tune. s: c's, folded or not. */
static int tune(tw_conv *c, tw_tuned *out, tw_dnn_pass pass, const tw_conv_shape *s, tw_conv_kind kind)
{
    const tw_dtype t = c->dev->precision;
    const size_t each = tw_dtype_size(t), w = weight_count(c) * (kind == TW_CONV_WIDE ? sizeof(float) : each);
    const size_t channels = (size_t)s->K * sizeof(float);
    const bool sums = kind == TW_CONV_SUMS_TOO;
    const tw_tune_operand operand[] = {{TW_CONV_X, input_count(c) * each},
                                       {TW_CONV_W, w},
                                       {TW_CONV_Y, output_bytes(c)},
                                       {sums ? TW_CONV_SUM : TW_CONV_BIAS, channels},
                                       {sums ? TW_CONV_SQUARES : TW_CONV_SHORTCUT, sums ? channels : output_bytes(c)}};
    const tw_dnn_site here = {.handle = c->dev->dnn};
    char key[160];
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_conv_graph(&b, pass, s, t, kind, &here);
    tw_conv_key(key, sizeof key, pass, s, t, kind);
    const int rc = graph == NULL ? 0 : tw_tune(out, c->dev, key, graph, operand, sums ? 5 : operands_of(s, s->folded));
    tw_dnn_fini(&b);
    return rc;
}

static int tune_pass(tw_conv *c, tw_dnn_pass pass, tw_conv_kind kind)
{
    tw_conv_shape s = c->shape;
    s.folded = false;
    return tune(c, &c->pass[pass], pass, &s, kind);
}

typedef struct {
    tw_conv *c;
    void *x, *y, *shortcut;
    tw_norm reader; /* of y */
} trial;

static int run_folded(void *arg)
{
    const trial *t = arg;
    return tw_cuda_conv_folded(t->c, t->y, t->x, t->c->shape.add ? t->shortcut : NULL);
}

static int run_sums(void *arg)
{
    const trial *t = arg;
    return tw_cuda_conv_forward_norms(t->c, t->y, t->x, &(tw_conv_norms){.reader = &t->reader});
}

/* Gives the one plan up where the parts are faster, which run does without it. 0, or -1 and tw_error(). */
static int compare_ways(tw_conv *c, tw_tuned *one, int (*run)(void *))
{
    const tw_conv_shape *s = &c->shape;
    const size_t x = (size_t)s->N * (size_t)(s->H * s->W * s->C) * tw_dtype_size(c->dev->precision);
    double *sums = tw_cuda_alloc(c->dev, 2 * (size_t)s->K * sizeof *sums);
    trial t = {c, tw_cuda_alloc(c->dev, x), tw_cuda_alloc(c->dev, output_bytes(c)), tw_cuda_alloc(c->dev, output_bytes(c)),
               {.rows = (int64_t)s->N * s->OH * s->OW, .C = s->K, .sums = sums}};
    double together = -1, apart = -1;
    if (t.x != NULL && t.y != NULL && t.shortcut != NULL && sums != NULL && tw_cuda_zero(c->dev, c->w, tw_cuda_conv_bytes(c)) == 0) {
        const tw_tuned plan = *one;
        together = tw_time(c->dev->stream, run, &t);
        one->plan = NULL;
        apart = tw_time(c->dev->stream, run, &t);
        *one = plan;
    }
    cudaFree(t.x);
    cudaFree(t.y);
    cudaFree(t.shortcut);
    cudaFree(sums);
    if (together > apart)
        tw_tuned_fini(one);
    return together < 0 || apart < 0 ? -1 : 0;
}

/* Zeros and ones beside the shift, with which a norm adds it where the parts are run. */
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

/* All in one plan, if that is faster: which is measured once and kept among the plans. */
static int build_together(tw_conv *c, tw_tuned *one, tw_conv_kind kind, int (*run)(void *))
{
    static const char apart[] = "apart";
    char key[160];
    tw_conv_key(key, sizeof key, TW_DNN_FORWARD, &c->shape, c->dev->precision, kind);
    const char *kept = tw_dnn_cache_find(c->dev->plans, key);
    if (kept != NULL && strcmp(kept, apart) == 0)
        return 0;
    if (tune(c, one, TW_DNN_FORWARD, &c->shape, kind) < 0)
        return -1;
    if (one->plan == NULL || kept != NULL)
        return 0;
    if (compare_ways(c, one, run) != 0)
        return -1;
    if (one->plan == NULL)
        tw_dnn_cache_add(c->dev->plans, key, apart);
    return 0;
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
    int rc = tune_pass(c, TW_DNN_FORWARD, TW_CONV_AS_IT_IS);
    if (rc > 0 && c->shape.train && c->shape.data_gradient)
        rc = tune_pass(c, TW_DNN_DATA, TW_CONV_AS_IT_IS);
    if (rc > 0 && c->shape.train) { /* in f32 where there is a way, else rounded once to the type of the activations */
        rc = wide ? tune_pass(c, TW_DNN_WEIGHTS, TW_CONV_WIDE) : 0;
        c->wide = rc > 0;
        if (rc == 0)
            rc = tune_pass(c, TW_DNN_WEIGHTS, TW_CONV_AS_IT_IS);
    }
    if (rc <= 0)
        return rc < 0 ? -1 : none(c);
    c->w = tw_dev_memory(weight_count(c) * tw_dtype_size(c->dev->precision));
    if (c->w == NULL)
        return -1;
    if (c->shape.folded)
        return make_shift(c) != 0 ? -1 : build_together(c, &c->together, TW_CONV_AS_IT_IS, run_folded);
    return tw_cuda_conv_norms(c->dev, &c->shape) != 0 ? build_together(c, &c->sums, TW_CONV_SUMS_TOO, run_sums) : 0;
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
    cudaFree(c->w);
    cudaFree(c->shift);
    free(c);
}

size_t tw_cuda_conv_bytes(const tw_conv *c)
{
    return weight_count(c) * tw_dtype_size(c->dev->precision);
}

int tw_cuda_conv_weights(tw_conv *c, const float *w)
{
    return tw_launch_weights_in(c->w, w, &c->form, c->dev->precision, c->dev->stream);
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

static bool as_it_is(const tw_conv *c)
{
    return c->form.block == 1 && c->form.P == c->shape.C;
}

/* Room for the input as cuDNN gets it. */
static void *formed(const tw_conv *c)
{
    return tw_dev_scratch(c->dev, TW_SCRATCH_PADDED, input_count(c) * tw_dtype_size(c->dev->precision));
}

/* x, or a copy in the form that cuDNN gets. NULL and tw_error(). */
static void *input_of(const tw_conv *c, const void *x)
{
    if (as_it_is(c))
        return (void *)x;
    void *in = formed(c);
    if (in == NULL || tw_launch_form(in, x, &c->form, c->dev->precision, c->dev->stream) != 0)
        return NULL;
    return in;
}

int tw_cuda_conv_folded(tw_conv *c, void *y, const void *x, const void *shortcut)
{
    const tw_conv_shape *s = &c->shape;
    if (c->together.plan != NULL) {
        void *in = input_of(c, x);
        const tw_dnn_operand operand[] = {{TW_CONV_X, in}, {TW_CONV_W, c->w}, {TW_CONV_Y, y}, {TW_CONV_BIAS, c->shift},
                                          {TW_CONV_SHORTCUT, (void *)shortcut}};
        return in == NULL ? -1 : tw_tuned_run(&c->together, c->dev, operand, operands_of(s, true));
    }
    const tw_norm n = {.rows = (int64_t)s->N * s->OH * s->OW, .C = s->K, .relu = s->relu, .beta = c->shift, .mean = c->shift + s->K,
                       .rstd = c->shift + 2 * s->K};
    return tw_cuda_conv_forward(c, y, x) != 0 ? -1 : tw_cuda_norm_apply(c->dev, &n, y, y, shortcut);
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

/* In fp16 cuDNN has kernels for it that are made for the device; in bf16 older ones only, each of which takes half a second to compile. */
int tw_cuda_conv_norms(tw_dev *d, const tw_conv_shape *s)
{
    return s->train && d->precision == TW_F16 ? TW_CONV_SUMS : 0;
}

int tw_cuda_conv_forward_norms(tw_conv *c, void *y, void *x, const tw_conv_norms *n)
{
    if (c->sums.plan == NULL)
        return tw_cuda_conv_forward(c, y, x) != 0 ? -1 : tw_cuda_norm_sums(c->dev, n->reader, y);
    const size_t apart = ((size_t)c->shape.K + 3) / 4 * 4; /* operands begin at whole 16 bytes */
    float *sum = tw_dev_scratch(c->dev, TW_SCRATCH_PARTIAL, 2 * apart * sizeof *sum);
    void *in = input_of(c, x);
    if (sum == NULL || in == NULL || tw_cuda_zero(c->dev, sum, 2 * apart * sizeof *sum) != 0) /* to be added to, it may be */
        return -1;
    const tw_dnn_operand operand[] = {{TW_CONV_X, in}, {TW_CONV_W, c->w}, {TW_CONV_Y, y}, {TW_CONV_SUM, sum}, {TW_CONV_SQUARES, sum + apart}};
    return tw_tuned_run(&c->sums, c->dev, operand, 5) != 0 ? -1 : tw_launch_norm_take_sums(n->reader, sum, sum + apart, c->dev->stream);
}

int tw_cuda_conv_backward_data(tw_conv *c, void *dx, const void *dy)
{
    if (as_it_is(c))
        return run(c, TW_DNN_DATA, dx, c->w, (void *)dy);
    void *in = formed(c);
    if (in == NULL || run(c, TW_DNN_DATA, in, c->w, (void *)dy) != 0)
        return -1;
    return tw_launch_unform(dx, in, &c->form, c->dev->precision, c->dev->stream);
}

int tw_cuda_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy)
{
    const tw_dtype t = c->wide ? TW_F32 : c->dev->precision;
    void *in = input_of(c, x), *g = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, weight_count(c) * tw_dtype_size(t));
    if (in == NULL || g == NULL || run(c, TW_DNN_WEIGHTS, in, g, (void *)dy) != 0)
        return -1;
    return tw_launch_weights_out(dw, g, &c->form, t, c->dev->stream);
}
