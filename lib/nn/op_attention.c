/* Self-attention over each sample's tokens, from packed queries, keys and values [N,T,3,heads,width]. */
#include "nn/op.h"

static int shape(tw_node *n)
{
    n->out = (tw_shape){n->in.N, n->in.H, n->in.W, n->layer->K};
    return 0;
}

/* keep: log_sum f32 [N,heads,T] */
static int open(tw_node *n)
{
    n->keep_bytes = n->ctx->train ? (size_t)tw_shape_rows(&n->in) * (size_t)n->layer->heads * sizeof(float) : 0;
    return 0;
}

static tw_attention describe(const tw_node *n)
{
    const int heads = n->layer->heads;
    return (tw_attention){.N = n->in.N, .T = n->in.H * n->in.W, .heads = heads, .width = n->layer->K / heads,
                          .train = n->ctx->train, .log_sum = n->keep};
}

static int forward(tw_node *n)
{
    const tw_attention a = describe(n);
    return TW_BACKEND(n->ctx->be, n->ctx->be->attention_forward(n->ctx->dev, &a, n->y, n->x));
}

static int backward(tw_node *n)
{
    const tw_attention a = describe(n);
    return TW_BACKEND(n->ctx->be, n->ctx->be->attention_backward(n->ctx->dev, &a, n->dx, n->dy, n->y, n->x));
}

static bool reads_y(const tw_node *n)
{
    (void)n;
    return true;
}

const tw_op tw_op_attention = {.name = "attention", .needs = offsetof(tw_backend, attention_forward), .reads_x = true, .reads_y = reads_y,
                               .shape = shape, .open = open, .forward = forward, .backward = backward};
