/* Convolution with the norm that follows it, its shortcut and its ReLU: evaluation only. */
#include "nn/op.h"

static int weights(tw_node *n)
{
    const tw_layer *l = n->layer;
    const tw_param *p = &n->ctx->net->param[l->norm], *running = p + (l->affine ? 2 : 0);
    const tw_norm norm = {
        .C = l->K,
        .gamma = l->affine ? p[0].device : NULL,
        .beta = l->affine ? p[1].device : NULL,
        .running_mean = running[0].device,
        .running_var = running[1].device,
    };
    return TW_BACKEND(n->ctx->be, n->ctx->be->conv_fold(n->state, n->ctx->net->param[l->param].device, &norm));
}

static int forward(tw_node *n)
{
    return TW_BACKEND(n->ctx->be, n->ctx->be->conv_folded(n->state, n->y, n->x, n->shortcut));
}

const tw_op tw_op_conv_folded = {.name = "folded convolution", .shape = tw_conv_out, .open = tw_conv_open, .close = tw_conv_close,
                                 .bytes = tw_conv_node_bytes, .weights = weights, .forward = forward};
