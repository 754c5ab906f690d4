/* LayerNorm over the channels of each pixel or token. */
#include "nn/op.h"

/* keep: mean f32 [rows], rstd f32 [rows] */
static int open(tw_node *n)
{
    n->keep_bytes = 2 * (size_t)tw_shape_rows(&n->in) * sizeof(float);
    return 0;
}

static tw_layer_norm describe(const tw_node *n)
{
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    const int64_t rows = tw_shape_rows(&n->in);
    float *mean = n->keep;
    return (tw_layer_norm){.rows = rows, .C = n->layer->C, .eps = n->layer->eps, .gamma = p[0].device, .beta = p[1].device,
                           .mean = mean, .rstd = mean + rows, .adds = n->adds};
}

static int forward(tw_node *n)
{
    const tw_layer_norm norm = describe(n);
    return TW_BACKEND(n->ctx->be, n->ctx->be->layer_norm_forward(n->ctx->dev, &norm, n->y, n->x));
}

static int backward(tw_node *n)
{
    const tw_layer_norm norm = describe(n);
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    return TW_BACKEND(n->ctx->be, n->ctx->be->layer_norm_backward(n->ctx->dev, &norm, n->dx, p[0].grad, p[1].grad, n->dy, n->x));
}

const tw_op tw_op_layer_norm = {.name = "layer norm", .needs = offsetof(tw_backend, layer_norm_forward), .adds_gradient = true,
                                .reads_x = true, .open = open, .forward = forward, .backward = backward};
