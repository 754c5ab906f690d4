/* Convolution: oneDNN's direct method on NHWC activations (on small pictures those of dense.h). The weights are copied into the layouts that it prefers when
 * they have changed; weight gradients come in its layout and are added to the plain ones. */
#include "cpu/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/dense.h"
#include "cpu/prim.h"

#include <stdlib.h>

struct tw_conv {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_prim forward, data, weights;       /* the three passes */
    tw_prim to_forward, to_data, to_plain; /* plain weights to their layouts; gradient from its layout, added */
    void *w_forward, *w_data;
    tw_dense *dense;                      /* instead of all of these; or NULL */
    tw_columns *columns;                  /* instead of `weights`; or NULL */
    size_t offset;                        /* of the used taps in the plain weights, elements */
    size_t bytes, gradient_bytes;
};

/* Along one side. Taps of a kernel that only ever meet padding are left out: a 3x3 kernel on one pixel is a 1x1 kernel, at
 * stride 2 on 2 x 2 pixels a 2x2 one. Networks on small pictures are full of them. */
typedef struct {
    int first, count;   /* the taps in use */
    int before, after;  /* padding left */
} taps;

static taps used_taps(int in, int out, int size, int stride, int pad)
{
    taps t;
    const int low = pad - (out - 1) * stride; /* the first tap of the last window that is not before the picture */
    const int high = in - 1 + pad;            /* the last tap of the first window that is not behind it */
    t.first = low > 0 ? low : 0;
    t.count = (high < size - 1 ? high : size - 1) - t.first + 1;
    t.before = pad - t.first;
    t.after = (out - 1) * stride + t.count - in - t.before;
    t.after = t.after > 0 ? t.after : 0;
    return t;
}

static int make(tw_prim *p, tw_conv *c, tw_conv_kind kind, const tw_conv_desc *desc, const tw_prim_arg *arg)
{
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    if (attr == NULL)
        return -1;
    const int rc = TW_DNNL(tw_conv_pd(&p->pd, c->dev->engine, kind, desc, attr, c->forward.pd));
    dnnl_primitive_attr_destroy(attr);
    return rc != 0 ? -1 : tw_prim_make(p, c->dev, arg, 3);
}

/* Room for weights in the layout that p wants, and the copy into it. */
static int layout(tw_prim *reorder, void **w, tw_conv *c, const tw_prim *p, tw_const_md plain)
{
    tw_const_md md = tw_prim_md(p, dnnl_query_weights_md);
    const size_t bytes = dnnl_memory_desc_get_size(md);
    *w = tw_alloc64(bytes);
    c->bytes += bytes;
    return *w == NULL ? -1 : tw_prim_reorder(reorder, c->dev, plain, md, false);
}

static int make_all(tw_conv *c, const tw_conv_desc *desc, tw_const_md plain)
{
    const bool train = c->shape.train;
    if (make(&c->forward, c, train ? TW_CONV_FORWARD : TW_CONV_INFERENCE, desc,
             (tw_prim_arg[]){{DNNL_ARG_DST, dnnl_query_dst_md}, {DNNL_ARG_SRC, dnnl_query_src_md},
                             {DNNL_ARG_WEIGHTS, dnnl_query_weights_md}}) != 0 ||
        layout(&c->to_forward, &c->w_forward, c, &c->forward, plain) != 0)
        return -1;
    if (train && c->shape.data_gradient &&
        (make(&c->data, c, TW_CONV_BACKWARD_DATA, desc,
              (tw_prim_arg[]){{DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md}, {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md},
                              {DNNL_ARG_WEIGHTS, dnnl_query_weights_md}}) != 0 ||
         layout(&c->to_data, &c->w_data, c, &c->data, plain) != 0))
        return -1;
    return 0;
}

static int make_gradient(tw_conv *c, const tw_conv_desc *desc, tw_const_md plain)
{
    if (make(&c->weights, c, TW_CONV_BACKWARD_WEIGHTS, desc,
             (tw_prim_arg[]){{DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md}, {DNNL_ARG_SRC, dnnl_query_src_md},
                             {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md}}) != 0)
        return -1;
    tw_const_md md = tw_prim_md(&c->weights, dnnl_query_diff_weights_md);
    c->gradient_bytes = dnnl_memory_desc_get_size(md);
    if (tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, c->gradient_bytes) == NULL)
        return -1;
    return tw_prim_reorder(&c->to_plain, c->dev, md, plain, true);
}

/* NHWC in oneDNN's logical order N C H W. */
static tw_md nhwc(int N, int H, int W, int C, dnnl_data_type_t type)
{
    const dnnl_dims_t dim = {N, C, H, W};
    const dnnl_dims_t stride = {(dnnl_dim_t)H * W * C, 1, (dnnl_dim_t)W * C, C};
    return tw_md_new(4, dim, type, stride);
}

static int build(tw_conv *c)
{
    const tw_conv_shape *s = &c->shape;
    const dnnl_data_type_t type = tw_dnnl_type(c->dev->precision);
    const taps y = used_taps(s->H, s->OH, s->size, s->stride, s->pad), x = used_taps(s->W, s->OW, s->size, s->stride, s->pad);
    c->offset = (size_t)(y.first * s->size + x.first);
    const dnnl_dims_t dim = {s->K, s->C, y.count, x.count};
    const dnnl_dims_t stride = {(dnnl_dim_t)s->C * s->size * s->size, (dnnl_dim_t)s->size * s->size, s->size, 1};
    tw_md src = nhwc(s->N, s->H, s->W, s->C, type), dst = nhwc(s->N, s->OH, s->OW, s->K, type);
    tw_md weights = tw_md_new(4, dim, type, NULL), gradient = tw_md_new(4, dim, dnnl_f32, NULL);
    tw_md plain = tw_md_new(4, dim, dnnl_f32, stride);
    int rc = -1;
    if (src == NULL || dst == NULL || weights == NULL || gradient == NULL || plain == NULL) {
        tw_fail("convolution of %d x %d pixels: out of memory", s->H, s->W);
    } else {
        tw_conv_desc desc = {.src = src, .weights = weights, .dst = dst, .strides = {s->stride, s->stride},
                             .before = {y.before, x.before}, .after = {y.after, x.after}};
        rc = make_all(c, &desc, plain);
        desc.weights = gradient;
        if (rc == 0 && s->train && c->columns == NULL)
            rc = make_gradient(c, &desc, plain);
    }
    tw_md_free(src);
    tw_md_free(dst);
    tw_md_free(weights);
    tw_md_free(gradient);
    tw_md_free(plain);
    return rc;
}

/* Which way is taken depends on the shape only: the same run gives the same bits on the next day. */
static int make_way(tw_conv *c)
{
    if (tw_dense_suits(&c->shape)) {
        c->dense = tw_dense_new(c->dev, &c->shape);
        return c->dense != NULL ? 0 : -1;
    }
    if (tw_columns_suit(&c->shape)) {
        c->columns = tw_columns_new(c->dev, &c->shape);
        if (c->columns == NULL)
            return -1;
    }
    return build(c);
}

tw_conv *tw_cpu_conv_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_conv *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->dev = d;
    c->shape = *s;
    if (make_way(c) == 0)
        return c;
    tw_cpu_conv_free(c);
    return NULL;
}

void tw_cpu_conv_free(tw_conv *c)
{
    if (c == NULL)
        return;
    tw_prim *const prim[] = {&c->forward, &c->data, &c->weights, &c->to_forward, &c->to_data, &c->to_plain};
    for (size_t i = 0; i < sizeof prim / sizeof *prim; i++)
        tw_prim_fini(prim[i]);
    tw_dense_free(c->dense);
    tw_columns_free(c->columns);
    free(c->w_forward);
    free(c->w_data);
    free(c);
}

size_t tw_cpu_conv_bytes(const tw_conv *c)
{
    return c->dense != NULL ? tw_dense_bytes(c->dense) : c->bytes;
}

int tw_cpu_conv_weights(tw_conv *c, const float *w)
{
    if (c->dense != NULL) {
        tw_dense_weights(c->dense, w);
        return 0;
    }
    void *plain = (float *)w + c->offset; /* read only */
    if (tw_prim_run(&c->to_forward, c->dev, (void *[]){plain, c->w_forward}) != 0)
        return -1;
    return c->w_data == NULL ? 0 : tw_prim_run(&c->to_data, c->dev, (void *[]){plain, c->w_data});
}

int tw_cpu_conv_forward(tw_conv *c, void *y, const void *x)
{
    if (c->dense != NULL)
        return tw_dense_forward(c->dense, y, x);
    return tw_prim_run(&c->forward, c->dev, (void *[]){y, (void *)x, c->w_forward});
}

int tw_cpu_conv_backward_data(tw_conv *c, void *dx, const void *dy)
{
    if (c->dense != NULL)
        return tw_dense_backward_data(c->dense, dx, dy);
    return tw_prim_run(&c->data, c->dev, (void *[]){dx, (void *)dy, c->w_data});
}

int tw_cpu_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy)
{
    if (c->dense != NULL)
        return tw_dense_backward_weights(c->dense, dw, x, dy);
    if (c->columns != NULL)
        return tw_columns_backward_weights(c->columns, dw, x, dy);
    void *scratch = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, c->gradient_bytes);
    if (scratch == NULL || tw_prim_run(&c->weights, c->dev, (void *[]){scratch, (void *)x, (void *)dy}) != 0)
        return -1;
    return tw_prim_run(&c->to_plain, c->dev, (void *[]){scratch, dw + c->offset});
}
