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

int tw_conv_open(tw_node *n)
{
    const tw_layer *l = n->layer;
    const tw_conv_shape s = {.N = n->in.N, .H = n->in.H, .W = n->in.W, .C = l->C, .OH = n->out.H, .OW = n->out.W, .K = l->K,
                             .size = l->size, .stride = l->stride, .pad = l->pad, .train = n->ctx->train,
                             .data_gradient = n->dx != NULL, .folded = l->op == &tw_op_conv_folded, .add = l->shortcut >= 0,
                             .relu = l->relu};
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

static int forward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->conv_forward(n->state, n->y, n->x));
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    float *dw = n->ctx->net->param[n->layer->param].grad;
    if (TW_BACKEND(be, be->conv_backward_weights(n->state, dw, n->x, n->dy)) != 0)
        return -1;
    return n->dx == NULL ? 0 : TW_BACKEND(be, be->conv_backward_data(n->state, n->dx, n->dy));
}

const tw_op tw_op_conv = {.name = "convolution", .reads_x = true, .shape = tw_conv_out, .open = tw_conv_open,
                          .close = tw_conv_close, .bytes = tw_conv_node_bytes,
                          .weights = weights, .forward = forward, .backward = backward};
