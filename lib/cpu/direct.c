/* oneDNN's direct convolution on NHWC activations. When the weights have changed, they are copied into the layouts that it prefers. */
#include "cpu/conv.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/columns.h"
#include "cpu/direct_gradient.h"
#include "cpu/lanes.h"
#include "cpu/prim.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_PIXELS = 49 };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_prim forward, data;
    tw_lanes *lanes;                      /* instead of forward, TW_CONV_PLAIN in evaluation: a picture's bits must not depend on the threads */
    tw_prim to_forward, to_data;          /* plain weights to their layouts */
    void *w_forward, *w_data;
    tw_direct_gradient *gradient;         /* of the weights, or by im2col: */
    tw_columns *columns;
    int pictures;                         /* per call of the forward primitive */
    size_t x_bytes, y_bytes;              /* of that many pictures */
    size_t offset;                        /* of the first tap in use in the plain weights, in elements */
    size_t bytes;
} direct;

/* Whether pictures are convolved one by one. In evaluation a picture's features must not depend on the rest of the batch. Pictures with enough
 * pixels go one by one: activations are still in the cache then. */
static bool alone(const tw_conv_shape *s)
{
    return s->folded && (TW_CONV_PLAIN || s->OH * s->OW >= LEAST_PIXELS);
}

/* The kernel along one side without the taps that only ever meet padding: a 3x3 kernel on one pixel is a 1x1 kernel, with stride 2 on 2 x 2
 * pixels a 2x2 one. Networks on small pictures have many of these. */
typedef struct {
    int first, count;   /* the taps in use */
    int before, after;  /* padding left */
} taps;

static taps used_taps(int in, int out, int size, int stride, int pad)
{
    taps t;
    const int low = pad - (out - 1) * stride; /* number of the first tap that is inside the picture in the last window */
    const int high = in - 1 + pad;            /* number of the last tap that is inside it in the first window */
    t.first = low > 0 ? low : 0;
    t.count = (high < size - 1 ? high : size - 1) - t.first + 1;
    t.before = pad - t.first;
    t.after = (out - 1) * stride + t.count - in - t.before;
    t.after = t.after > 0 ? t.after : 0;
    return t;
}

/* Whether the shortcut is an argument of its own; otherwise it is in the output before, and the convolution is added to it. */
static bool takes_shortcut(const tw_conv_shape *s)
{
    return s->add && !TW_CONV_PLAIN;
}

/* The post-ops of a folded convolution: adds the shortcut, then the ReLU. 0, or -1 and tw_error(). */
static int set_tail(dnnl_primitive_attr_t attr, const tw_conv_shape *s, tw_const_md shortcut)
{
    dnnl_post_ops_t ops = NULL;
    int rc = TW_DNNL(dnnl_post_ops_create(&ops));
    if (rc == 0 && s->add)
        rc = TW_DNNL(takes_shortcut(s) ? dnnl_post_ops_append_binary(ops, dnnl_binary_add, shortcut) : tw_append_sum(ops));
    if (rc == 0 && s->relu)
        rc = TW_DNNL(tw_append_relu(ops));
    if (rc == 0)
        rc = TW_DNNL(dnnl_primitive_attr_set_post_ops(attr, ops));
    if (ops != NULL)
        dnnl_post_ops_destroy(ops);
    return rc;
}

/* Makes *p, with n arguments; if there is a shortcut, it is an argument after the bias. */
static int make(tw_prim *p, direct *c, tw_conv_kind kind, const tw_conv_desc *desc, const tw_prim_arg *arg, int n)
{
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    if (attr == NULL)
        return -1;
    int rc = c->shape.folded ? set_tail(attr, &c->shape, desc->dst) : 0;
    if (rc == 0)
        rc = TW_DNNL(tw_conv_pd(&p->pd, c->dev->engine, kind, desc, attr, c->forward.pd));
    dnnl_primitive_attr_destroy(attr);
    return rc != 0 ? -1 : tw_prim_make(p, c->dev, arg, n);
}

/* Allocates *w in the layout of p's weights and makes the copy into it. */
static int layout(tw_prim *reorder, void **w, direct *c, const tw_prim *p, tw_const_md plain)
{
    tw_const_md md = tw_prim_md(p, dnnl_query_weights_md);
    const size_t bytes = dnnl_memory_desc_get_size(md);
    *w = tw_alloc64(bytes);
    c->bytes += bytes;
    return *w == NULL ? -1 : tw_prim_reorder(reorder, c->dev, plain, md, false);
}

typedef struct {
    direct *conv;
    const tw_conv_desc *desc;
} forward_of;

static int make_forward(tw_prim *p, int kind, void *context)
{
    (void)kind;
    const forward_of *f = context;
    const tw_conv_shape *s = &f->conv->shape;
    return make(p, f->conv, s->train ? TW_CONV_FORWARD : alone(s) ? TW_CONV_PICTURE : TW_CONV_INFERENCE, f->desc,
                (tw_prim_arg[]){{DNNL_ARG_DST, dnnl_query_dst_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0}, {DNNL_ARG_BIAS, dnnl_query_weights_md, 1},
                                {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, dnnl_query_dst_md, 0}},
                3 + s->folded + takes_shortcut(s));
}

static int make_all(direct *c, const tw_conv_desc *desc, tw_const_md plain)
{
    const bool train = c->shape.train;
    forward_of f = {c, desc};
    if (TW_CONV_PLAIN && c->shape.folded ? (c->lanes = tw_lanes_new(c->dev, true, make_forward, &f)) == NULL
                                         : make_forward(&c->forward, 0, &f) != 0)
        return -1;
    if (layout(&c->to_forward, &c->w_forward, c, c->lanes != NULL ? tw_lanes_prim(c->lanes, 0) : &c->forward, plain) != 0)
        return -1;
    if (train && c->shape.data_gradient &&
        (make(&c->data, c, TW_CONV_BACKWARD_DATA, desc,
              (tw_prim_arg[]){{DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0}, {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0},
                              {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0}}, 3) != 0 ||
         layout(&c->to_data, &c->w_data, c, &c->data, plain) != 0))
        return -1;
    return 0;
}

static int build(direct *c)
{
    const tw_conv_shape *s = &c->shape;
    const dnnl_data_type_t type = tw_dnnl_type(c->dev->precision);
    const taps y = used_taps(s->H, s->OH, s->size, s->stride, s->pad), x = used_taps(s->W, s->OW, s->size, s->stride, s->pad);
    c->offset = (size_t)(y.first * s->size + x.first);
    const dnnl_dims_t dim = {s->K, s->C, y.count, x.count};
    const dnnl_dims_t stride = {(dnnl_dim_t)s->C * s->size * s->size, (dnnl_dim_t)s->size * s->size, s->size, 1};
    tw_md src = tw_md_nhwc(c->pictures, s->H, s->W, s->C, type), dst = tw_md_nhwc(c->pictures, s->OH, s->OW, s->K, type);
    tw_md weights = tw_md_new(4, dim, type, NULL), gradient = tw_md_new(4, dim, dnnl_f32, NULL);
    tw_md plain = tw_md_new(4, dim, dnnl_f32, stride);
    tw_md bias = tw_md_new(1, (dnnl_dims_t){s->K}, dnnl_f32, (dnnl_dims_t){1});
    int rc = -1;
    if (src == NULL || dst == NULL || weights == NULL || gradient == NULL || plain == NULL || bias == NULL) {
        tw_fail("convolution of %d x %d pixels: out of memory", s->H, s->W);
    } else {
        tw_conv_desc desc = {.src = src, .weights = weights, .dst = dst, .bias = s->folded ? bias : NULL, .strides = {s->stride, s->stride},
                             .before = {y.before, x.before}, .after = {y.after, x.after}, .taps = (dnnl_dim_t)y.count * x.count};
        rc = make_all(c, &desc, plain);
        desc.weights = gradient;
        if (rc == 0 && s->train && c->columns == NULL)
            rc = (c->gradient = tw_direct_gradient_new(c->dev, s, &desc, plain, c->forward.pd)) != NULL ? 0 : -1;
    }
    tw_md_free(src);
    tw_md_free(dst);
    tw_md_free(weights);
    tw_md_free(gradient);
    tw_md_free(plain);
    tw_md_free(bias);
    return rc;
}

static void close_direct(void *way)
{
    direct *c = way;
    tw_prim *const prim[] = {&c->forward, &c->data, &c->to_forward, &c->to_data};
    for (size_t i = 0; i < sizeof prim / sizeof *prim; i++)
        tw_prim_fini(prim[i]);
    tw_lanes_free(c->lanes);
    tw_direct_gradient_free(c->gradient);
    tw_columns_free(c->columns);
    free(c->w_forward);
    free(c->w_data);
    free(c);
}

static void *open_direct(tw_dev *d, const tw_conv_shape *s)
{
    direct *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->dev = d;
    c->shape = *s;
    c->pictures = alone(s) ? 1 : s->N;
    c->x_bytes = (size_t)c->pictures * (size_t)(s->H * s->W) * (size_t)s->C * tw_dtype_size(d->precision);
    c->y_bytes = (size_t)c->pictures * (size_t)(s->OH * s->OW) * (size_t)s->K * tw_dtype_size(d->precision);
    if (tw_columns_suit(d, s))
        c->columns = tw_columns_new(d, s);
    if ((!tw_columns_suit(d, s) || c->columns != NULL) && build(c) == 0)
        return c;
    close_direct(c);
    return NULL;
}

static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    (void)d, (void)s;
    return true;
}

static size_t bytes(const void *way)
{
    return ((const direct *)way)->bytes;
}

/* A copy of w, each output channel multiplied by its scale. NULL and tw_error(). */
static float *scaled(const direct *c, const float *w, const float *scale)
{
    const tw_conv_shape *s = &c->shape;
    const size_t each = (size_t)s->C * (size_t)(s->size * s->size);
    float *to = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, (size_t)s->K * each * sizeof *to);
    for (size_t k = 0; to != NULL && k < (size_t)s->K; k++)
        for (size_t i = 0; i < each; i++)
            to[k * each + i] = w[k * each + i] * scale[k];
    return to;
}

static int take_weights(void *way, const float *w, const float *scale)
{
    direct *c = way;
    float *plain = scale != NULL ? scaled(c, w, scale) : (float *)w; /* read only */
    if (plain == NULL || tw_prim_run(&c->to_forward, c->dev, (void *[]){plain + c->offset, c->w_forward}) != 0)
        return -1;
    return c->w_data == NULL ? 0 : tw_prim_run(&c->to_data, c->dev, (void *[]){plain + c->offset, c->w_data});
}

/* The pictures one by one, each by one thread. */
static int forward_lanes(direct *c, void *y, const void *x, const float *shift, const void *shortcut)
{
    char *room = tw_lanes_scratch(c->lanes);
    int status = dnnl_success;
    if (room == NULL)
        return -1;
    if (shortcut != NULL)
        memmove(y, shortcut, (size_t)c->shape.N * c->y_bytes);
#pragma omp parallel for schedule(static) reduction(max : status)
    for (int n = 0; n < c->shape.N; n++) {
        void *data[] = {(char *)y + (size_t)n * c->y_bytes, (char *)x + (size_t)n * c->x_bytes, c->w_forward, (void *)shift};
        const int st = (int)tw_lanes_run(c->lanes, 0, data, room);
        status = st > status ? st : status;
    }
    return tw_dnnl_check((dnnl_status_t)status, "dnnl_primitive_execute(");
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    direct *c = way;
    if (c->lanes != NULL)
        return forward_lanes(c, y, x, shift, shortcut);
    for (int n = 0; n < c->shape.N; n += c->pictures) {
        const size_t i = (size_t)(n / c->pictures);
        void *by = shortcut != NULL ? (char *)shortcut + i * c->y_bytes : NULL;
        if (tw_prim_run(&c->forward, c->dev,
                        (void *[]){(char *)y + i * c->y_bytes, (char *)x + i * c->x_bytes, c->w_forward, (void *)shift, by}) != 0)
            return -1;
    }
    return 0;
}

static int backward_data(void *way, void *dx, const void *dy)
{
    direct *c = way;
    return tw_prim_run(&c->data, c->dev, (void *[]){dx, (void *)dy, c->w_data});
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    direct *c = way;
    return c->columns != NULL ? tw_columns_backward_weights(c->columns, dw, x, dy) : tw_direct_gradient_add(c->gradient, dw + c->offset, x, dy);
}

const tw_conv_way tw_conv_direct = {
    .suits = suits,
    .open = open_direct,
    .close = close_direct,
    .bytes = bytes,
    .weights = take_weights,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weights = backward_weights,
};
