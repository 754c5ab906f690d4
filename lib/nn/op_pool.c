/* Max pooling and global average pooling. */
#include "nn/op.h"

static int max_open(tw_node *n)
{
    n->keep_bytes = tw_shape_elements(&n->out);
    return 0;
}

tw_pool_shape tw_pool_of(const tw_node *n)
{
    return (tw_pool_shape){.N = n->in.N, .H = n->in.H, .W = n->in.W, .C = n->in.C, .OH = n->out.H, .OW = n->out.W,
                           .size = n->layer->size, .stride = n->layer->stride, .pad = n->layer->pad};
}

static int max_forward(tw_node *n)
{
    const tw_pool_shape s = tw_pool_of(n);
    return TW_BACKEND(n->ctx->be, n->ctx->be->max_forward(n->ctx->dev, &s, n->y, n->keep, n->x));
}

static int mean_shape(tw_node *n)
{
    n->out = (tw_shape){n->in.N, 1, 1, n->in.C};
    return 0;
}

static int mean_forward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->mean_forward(n->ctx->dev, n->y, n->x, n->in.N, n->in.H * n->in.W, n->in.C));
}

static int mean_backward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->mean_backward(n->ctx->dev, n->dx, n->dy, n->in.N, n->in.H * n->in.W, n->in.C));
}

/* For evaluation, where the norm is folded into the convolution; training has tw_op_norm_max. */
const tw_op tw_op_maxpool = {.name = "max pool", .shape = tw_conv_out, .open = max_open, .forward = max_forward};
const tw_op tw_op_mean = {.name = "mean", .shape = mean_shape, .forward = mean_forward, .backward = mean_backward};
