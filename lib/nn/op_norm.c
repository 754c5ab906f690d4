/* BatchNorm in three parts: this rank's sums, their all-reduce, and the application fused with the shortcut and the ReLU that follow. The
 * backward pass has the same three parts. Adjacent convolutions may do the first and the last (TW_CONV_...). */
#include "nn/op.h"

/* In keep: sums f64 [2C], mean f32 [C], rstd f32 [C] */
size_t tw_norm_keeps(const tw_node *n)
{
    return (size_t)n->layer->C * (2 * sizeof(double) + 2 * sizeof(float));
}

/* Whether the ReLU's mask has to be read from y: without a shortcut it can be recomputed from x. */
static bool needs_y(const tw_layer *l)
{
    return l->relu && l->shortcut >= 0;
}

/* Whether a stored mask replaces y: only if this node itself, and no convolution, does both passes that use it. */
static bool has_mask(const tw_node *n)
{
    return n->ctx->train && needs_y(n->layer) && n->ctx->be->norm_mask_bytes != NULL &&
           (n->done & (TW_CONV_APPLIES | TW_CONV_BACKWARD_SUMS)) == 0;
}

/* keep: what tw_norm_keeps counts, then the mask */
static int open(tw_node *n)
{
    n->keep_bytes = tw_norm_keeps(n);
    if (has_mask(n))
        n->keep_bytes += n->ctx->be->norm_mask_bytes(n->ctx->dev, tw_shape_rows(&n->in), n->layer->C);
    return 0;
}

/* The ranks that share the statistics: all or this one (own_norms); for the last norm, known by having no affine part, the bunch. */
static tw_comm *among(const tw_node *n)
{
    return n->layer->affine ? n->ctx->net->norms : n->ctx->net->bunch;
}

tw_norm tw_norm_of(const tw_node *n)
{
    const tw_layer *l = n->layer;
    const tw_param *p = &n->ctx->net->param[l->param];
    double *sums = n->keep;
    float *mean = (float *)(sums + 2 * l->C);
    const tw_param *running = p + (l->affine ? 2 : 0);
    return (tw_norm){
        .rows = tw_shape_rows(&n->in),
        .count = tw_shape_rows(&n->in) * among(n)->ranks,
        .C = l->C,
        .add = l->shortcut >= 0,
        .relu = l->relu,
        .gamma = l->affine ? p[0].device : NULL,
        .beta = l->affine ? p[1].device : NULL,
        .dgamma = l->affine ? p[0].grad : NULL,
        .dbeta = l->affine ? p[1].grad : NULL,
        .running_mean = running[0].device,
        .running_var = running[1].device,
        .mean = mean,
        .rstd = mean + l->C,
        .sums = sums,
        .mask = has_mask(n) ? (uint8_t *)n->keep + tw_norm_keeps(n) : NULL,
    };
}

int tw_norm_total(const tw_node *n, const tw_norm *norm)
{
    const tw_backend *be = n->ctx->be;
    tw_comm *comm = among(n);
    tw_peers *peers = n->layer->affine ? n->ctx->net->peers : n->ctx->net->bunch_peers;
    if (comm->ranks == 1)
        return 0;
    if (peers != NULL)
        return TW_BACKEND(be, be->peers_sum(peers, norm->sums, 2 * (size_t)norm->C, TW_F64));
    return comm->sum_f64(comm, norm->sums, 2 * (size_t)norm->C);
}

int tw_norm_find_statistics(const tw_node *n, const tw_norm *norm)
{
    const tw_backend *be = n->ctx->be;
    if (!n->ctx->batch)
        return TW_BACKEND(be, be->norm_running(n->ctx->dev, norm));
    if ((n->done & TW_CONV_SUMS) == 0 && TW_BACKEND(be, be->norm_sums(n->ctx->dev, norm, n->x)) != 0)
        return -1;
    if (tw_norm_total(n, norm) != 0)
        return -1;
    return TW_BACKEND(be, be->norm_statistics(n->ctx->dev, norm));
}

void tw_norm_count(tw_node *n)
{
    const tw_param *tracked = &n->ctx->net->param[n->layer->param + (n->layer->affine ? 4 : 2)];
    ++*(int64_t *)tracked->value;
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_norm norm = tw_norm_of(n);
    if (tw_norm_find_statistics(n, &norm) != 0)
        return -1;
    if (n->not_made || (n->done & TW_CONV_APPLIES) != 0)
        return 0;
    if (n->aside == NULL)
        return TW_BACKEND(be, be->norm_apply(n->ctx->dev, &norm, n->y, n->x, n->shortcut));
    const tw_norm aside = tw_norm_of(n->aside);
    return TW_BACKEND(be, be->norm_apply_two(n->ctx->dev, &norm, n->y, n->x, &aside, n->aside->x));
}

static bool reads_y(const tw_node *n)
{
    return needs_y(n->layer) && !has_mask(n);
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_norm norm = tw_norm_of(n);
    const void *y = reads_y(n) ? n->y : NULL;
    if ((n->done & TW_CONV_BACKWARD_SUMS) == 0 && TW_BACKEND(be, be->norm_backward_sums(n->ctx->dev, &norm, n->dy, n->dy2, y, n->x)) != 0)
        return -1;
    if (tw_norm_total(n, &norm) != 0)
        return -1;
    if ((n->done & TW_CONV_BACKWARD_APPLIES) != 0)
        return 0;
    return TW_BACKEND(be, be->norm_backward_apply(n->ctx->dev, &norm, n->dx, n->dy, n->x));
}

const tw_op tw_op_norm = {.name = "norm", .sums_gradients = true, .reads_x = true, .reads_y = reads_y, .open = open, .count = tw_norm_count,
                          .forward = forward, .backward = backward};
