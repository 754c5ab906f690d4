/* Convolution without bias. */
#include "nn/op.h"

#include "core/error.h"

int tw_conv_out(tw_node *n)
{
    const tw_layer *l = n->layer;
    const int H = (n->in.H + 2 * l->pad - l->size) / l->stride + 1, W = (n->in.W + 2 * l->pad - l->size) / l->stride + 1;
    n->out = (tw_shape){n->in.N, H, W, l->K};
    return 0;
}

static tw_conv_shape shape_of(const tw_node *n)
{
    const tw_layer *l = n->layer;
    return (tw_conv_shape){.N = n->in.N, .H = n->in.H, .W = n->in.W, .C = l->C, .OH = n->out.H, .OW = n->out.W, .K = l->K,
                           .size = l->size, .stride = l->stride, .pad = l->pad, .train = n->ctx->train,
                           .data_gradient = n->dx != NULL, .folded = l->op == &tw_op_conv_folded, .add = l->shortcut >= 0,
                           .relu = l->relu};
}

int tw_conv_open(tw_node *n)
{
    const tw_conv_shape s = shape_of(n);
    n->state = n->ctx->be->conv_new(n->ctx->dev, &s);
    return n->state != NULL ? 0 : tw_backend_failed(n->ctx->be);
}

void tw_conv_close(tw_node *n)
{
    n->ctx->be->conv_free(n->state);
}

size_t tw_conv_node_bytes(const tw_node *n)
{
    return n->ctx->be->conv_bytes(n->state);
}

static int weights(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->conv_weights(n->state, n->ctx->net->param[n->layer->param].device));
}

static bool finds_sums(const tw_node *n, bool backward)
{
    const tw_backend *be = n->ctx->be;
    const tw_conv_shape s = shape_of(n);
    return be->conv_finds_sums != NULL && be->conv_finds_sums(n->ctx->dev, &s, backward);
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    if (n->norm_behind == NULL)
        return TW_BACKEND(be, be->conv_forward(n->state, n->y, n->x));
    const tw_norm norm = tw_norm_of(n->norm_behind);
    return TW_BACKEND(be, be->conv_forward_sums(n->state, n->y, n->x, &norm));
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    float *dw = n->ctx->net->param[n->layer->param].grad;
    if (TW_BACKEND(be, be->conv_backward_weights(n->state, dw, n->x, n->dy)) != 0)
        return -1;
    if (n->norm_before == NULL)
        return n->dx == NULL ? 0 : TW_BACKEND(be, be->conv_backward_data(n->state, n->dx, n->dy));
    const tw_norm norm = tw_norm_of(n->norm_before);
    return TW_BACKEND(be, be->conv_backward_data_sums(n->state, n->dx, n->dy, n->adds, &norm, n->x, n->norm_before->x));
}

const tw_op tw_op_conv = {.name = "convolution", .reads_x = true, .finds_sums = finds_sums, .shape = tw_conv_out, .open = tw_conv_open,
                          .close = tw_conv_close, .bytes = tw_conv_node_bytes, .weights = weights, .forward = forward,
                          .backward = backward};
