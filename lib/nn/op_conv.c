/* Convolution without bias. */
#include "nn/op.h"

int tw_conv_out(tw_node *n)
{
    const tw_layer *l = n->layer;
    const int H = (n->in.H + 2 * l->pad - l->size) / l->stride + 1, W = (n->in.W + 2 * l->pad - l->size) / l->stride + 1;
    n->out = (tw_shape){n->in.N, H, W, l->K};
    return 0;
}

static tw_conv_shape shape_of(const tw_node *n)
{
    const tw_layer *l = n->layer, *norm = l->op == &tw_op_conv_folded || n->maker == NULL ? l : n->maker->layer;
    return (tw_conv_shape){.N = n->in.N, .H = n->in.H, .W = n->in.W, .C = l->C, .OH = n->out.H, .OW = n->out.W, .K = l->K,
                           .size = l->size, .stride = l->stride, .pad = l->pad, .train = n->ctx->train,
                           .data_gradient = n->dx != NULL, .folded = l->op == &tw_op_conv_folded, .add = norm->shortcut >= 0,
                           .relu = norm->relu, .norms = n->does};
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

static int norms(const tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    const tw_conv_shape s = shape_of(n);
    const int can = be->conv_norms != NULL ? be->conv_norms(n->ctx->dev, &s) : 0;
    return can < 0 ? tw_backend_failed(be) : can;
}

/* The backend's description of the adjacent norms: of the maker, reader only if n->does has a bit of the mask given for it. */
typedef struct {
    tw_norm maker, reader;
    tw_conv_norms n;
} beside;

static const tw_conv_norms *describe(beside *b, const tw_node *n, int maker, int reader)
{
    b->n = (tw_conv_norms){.adds = n->adds};
    if (n->does & maker) {
        b->maker = tw_norm_of(n->maker);
        b->n.maker = &b->maker;
        b->n.maker_x = n->maker->x, b->n.shortcut = n->maker->shortcut, b->n.maker_y = n->x;
    }
    if (n->does & reader) {
        b->reader = tw_norm_of(n->reader);
        b->n.reader = &b->reader;
        b->n.reader_x = n->y, b->n.reader_dy = n->reader->dy;
    }
    return &b->n;
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    beside b;
    const int before = TW_CONV_APPLIES | TW_CONV_THROUGH;
    if ((n->does & (before | TW_CONV_SUMS)) == 0)
        return TW_BACKEND(be, be->conv_forward(n->state, n->y, n->x));
    return TW_BACKEND(be, be->conv_forward_norms(n->state, n->y, (void *)n->x, describe(&b, n, before, TW_CONV_SUMS)));
}

static int backward_data(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    beside b;
    if (n->dx == NULL)
        return 0;
    if ((n->does & (TW_CONV_BACKWARD_APPLIES | TW_CONV_BACKWARD_SUMS)) == 0)
        return TW_BACKEND(be, be->conv_backward_data(n->state, n->dx, n->dy));
    return TW_BACKEND(be, be->conv_backward_norms(n->state, n->dx, n->dy, describe(&b, n, TW_CONV_BACKWARD_SUMS, TW_CONV_BACKWARD_APPLIES)));
}

static int backward_weights(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    float *grad = n->ctx->net->param[n->layer->param].grad;
    beside b;
    if ((n->does & TW_CONV_THROUGH) != 0)
        return TW_BACKEND(be, be->conv_backward_weights_through(n->state, grad, n->dy, describe(&b, n, TW_CONV_THROUGH, 0)));
    return TW_BACKEND(be, be->conv_backward_weights(n->state, grad, n->x, n->dy));
}

/* The gradient of the data comes first: it may be what writes dy (TW_CONV_BACKWARD_APPLIES). */
static int backward(tw_node *n)
{
    return backward_data(n) != 0 ? -1 : backward_weights(n);
}

const tw_op tw_op_conv = {.name = "convolution", .reads_x = true, .norms = norms, .shape = tw_conv_out, .open = tw_conv_open,
                          .close = tw_conv_close, .bytes = tw_conv_node_bytes, .weights = weights, .forward = forward,
                          .backward = backward};
