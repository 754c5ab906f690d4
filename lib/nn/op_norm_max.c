/* BatchNorm, ReLU and max pooling of a ResNet's stem, fused: the activation between them would be the network's largest. */
#include "nn/op.h"

/* keep: what tw_norm_keeps counts, then the backend's pick, u8 [N,OH,OW,C] */
static int open(tw_node *n)
{
    n->keep_bytes = tw_norm_keeps(n) + tw_shape_elements(&n->out);
    return 0;
}

static uint8_t *pick_of(const tw_node *n)
{
    return (uint8_t *)n->keep + tw_norm_keeps(n);
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_norm norm = tw_norm_of(n);
    const tw_pool_shape pool = tw_pool_of(n);
    if (tw_norm_find_statistics(n, &norm) != 0)
        return -1;
    return TW_BACKEND(be, be->norm_max_forward(n->ctx->dev, &norm, &pool, n->y, pick_of(n), n->x));
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_norm norm = tw_norm_of(n);
    const tw_pool_shape pool = tw_pool_of(n);
    if (TW_BACKEND(be, be->norm_max_backward_sums(n->ctx->dev, &norm, &pool, pick_of(n), n->dy, n->x)) != 0)
        return -1;
    if (tw_norm_total(n, &norm) != 0)
        return -1;
    return TW_BACKEND(be, be->norm_max_backward_apply(n->ctx->dev, &norm, &pool, n->dx, pick_of(n), n->dy, n->x));
}

const tw_op tw_op_norm_max = {.name = "norm and max pool", .reads_x = true, .shape = tw_conv_out, .open = open, .count = tw_norm_count,
                              .forward = forward, .backward = backward};
