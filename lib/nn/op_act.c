/* GELU and dropout, of the head. */
#include "nn/op.h"

static int gelu_forward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->gelu_forward(n->ctx->dev, n->y, n->x, tw_shape_elements(&n->in)));
}

static int gelu_backward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->gelu_backward(n->ctx->dev, n->dx, n->dy, n->x, tw_shape_elements(&n->in)));
}

/* An eval pass keeps everything as it is. */
static int dropout(tw_node *n, void *y, const void *x)
{
    const tw_net *net = n->ctx->net;
    const tw_drop drop = {.p = n->ctx->batch ? n->layer->drop : 0, .seed = net->config.seed, .step = n->ctx->step,
                          .row = (int64_t)net->comm->rank * n->in.N, .layer = n->index};
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

const tw_op tw_op_gelu = {.name = "gelu", .forward = gelu_forward, .backward = gelu_backward};
const tw_op tw_op_dropout = {.name = "dropout", .forward = drop_forward, .backward = drop_backward};
