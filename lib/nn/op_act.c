/* ReLU, GELU and dropout. */
#include "nn/op.h"

static int relu_forward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->relu_forward(n->ctx->dev, n->y, n->x, tw_shape_elements(&n->in)));
}

static int relu_backward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->relu_backward(n->ctx->dev, n->dx, n->dy, n->x, tw_shape_elements(&n->in)));
}

static int gelu_forward(tw_node *n)
{
    if ((n->done & TW_LINEAR_GELU) != 0)
        return 0;
    return TW_BACKEND(n->ctx->be, n->ctx->be->gelu_forward(n->ctx->dev, n->y, n->x, tw_shape_elements(&n->in)));
}

static bool gelu_kept(const tw_node *n)
{
    return (n->done & TW_LINEAR_GELU_BACKWARD) != 0;
}

static int gelu_backward(tw_node *n)
{
    if (gelu_kept(n))
        return 0;
    return TW_BACKEND(n->ctx->be, n->ctx->be->gelu_backward(n->ctx->dev, n->dx, n->dy, n->x, tw_shape_elements(&n->in)));
}

/* Rows are numbered as if all ranks were one: view-major, and within a view rank after rank. */
tw_drop tw_node_drop(const tw_node *n, double p, int layer)
{
    const tw_net *net = n->ctx->net;
    const int64_t B = n->ctx->B, all = B * net->comm->ranks;
    return (tw_drop){.p = n->ctx->batch ? p : 0, .seed = net->config.seed, .step = n->ctx->step, .layer = layer,
                     .row = n->first_row / B * all + net->comm->rank * B, .batch = B, .stride = all};
}

static int dropout(tw_node *n, void *y, const void *x)
{
    const tw_drop drop = tw_node_drop(n, n->layer->drop, n->index);
    return TW_BACKEND(n->ctx->be, n->ctx->be->dropout(n->ctx->dev, &drop, y, x, n->in.N, n->in.C));
}

static int drop_forward(tw_node *n)
{
    return dropout(n, n->y, n->x);
}

static int drop_backward(tw_node *n)
{
    return dropout(n, n->dx, n->dy);
}

const tw_op tw_op_relu = {.name = "relu", .needs = offsetof(tw_backend, relu_forward), .reads_x = true, .forward = relu_forward,
                          .backward = relu_backward};
const tw_op tw_op_gelu = {.name = "gelu", .keeps_gradient = gelu_kept, .reads_x = true, .forward = gelu_forward, .backward = gelu_backward};
const tw_op tw_op_dropout = {.name = "dropout", .forward = drop_forward, .backward = drop_backward};
