/* y = x W^T + b on every pixel or token. */
#include "nn/op.h"

static int open(tw_node *n)
{
    n->state = n->ctx->be->linear_new(n->ctx->dev, (int)tw_shape_rows(&n->in), n->layer->C, n->layer->K, n->ctx->train);
    return n->state != NULL ? 0 : tw_backend_failed(n->ctx->be);
}

static void close(tw_node *n)
{
    n->ctx->be->linear_free(n->state);
}

static size_t bytes(const tw_node *n)
{
    return n->ctx->be->linear_bytes(n->state);
}

static int weights(tw_node *n)
{
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    return TW_BACKEND(n->ctx->be, n->ctx->be->linear_weights(n->state, p[0].device, p[1].device));
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    if ((n->does & TW_LINEAR_ADDS) != 0)
        return TW_BACKEND(be, be->linear_forward_add(n->state, n->reader->y, n->x, n->reader->shortcut));
    if ((n->does & TW_LINEAR_GELU) != 0)
        return TW_BACKEND(be, be->linear_forward_gelu(n->state, n->reader->y, n->y, n->x));
    return TW_BACKEND(be, be->linear_forward(n->state, n->y, n->x));
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    if (TW_BACKEND(be, be->linear_backward_weights(n->state, p[0].grad, p[1].grad, n->x, n->dy)) != 0)
        return -1;
    if ((n->does & TW_LINEAR_GELU_BACKWARD) != 0)
        return TW_BACKEND(be, be->linear_backward_gelu(n->state, n->dx, n->dy, n->maker->x));
    return n->dx == NULL ? 0 : TW_BACKEND(be, be->linear_backward_data(n->state, n->dx, n->dy));
}

const tw_op tw_op_linear = {.name = "linear", .reads_x = true, .open = open, .close = close, .bytes = bytes, .weights = weights,
                            .forward = forward, .backward = backward};
