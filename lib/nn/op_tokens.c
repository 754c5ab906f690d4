/* Layers on a vision transformer's tokens: patches to tokens with position embeddings; the residual sum with stochastic depth; the features
 * read from the last tokens (mean, concatenation). */
#include "core/mem.h"
#include "nn/op.h"

#include <math.h>
#include <stdlib.h>

static int side_of(const tw_node *n)
{
    return (int)lround(sqrt((double)(n->ctx->net->param[n->layer->param + 1].dim[1] - 1)));
}

static bool resized(const tw_node *n)
{
    return n->in.H != side_of(n) || n->in.W != side_of(n);
}

static int tokens_shape(tw_node *n)
{
    n->out = (tw_shape){n->in.N, 1 + n->in.H * n->in.W, 1, n->in.C};
    return 0;
}

static size_t tokens_bytes(const tw_node *n)
{
    const size_t grid = (size_t)side_of(n);
    return resized(n) ? (size_t)(n->in.H * n->in.W) * grid * grid * sizeof(float) : 0;
}

/* Keys' cubic convolution kernel with a = -0.75 (PyTorch's bicubic), at distance x. */
static double cubic(double x)
{
    const double a = -0.75;
    x = fabs(x);
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* weight [to, from]: torch.nn.functional.interpolate(mode="bicubic", align_corners=False, scale_factor=(to + 0.1) / from), border repeated. As
 * in PyTorch, source positions follow from the factor given, not from the ratio of the sizes. */
static void resize_weights(float *weight, int to, int from)
{
    const double scale = from / (to + 0.1);
    for (int i = 0; i < to; i++) {
        const double at = (i + 0.5) * scale - 0.5;
        for (int k = 0; k < from; k++)
            weight[i * from + k] = 0;
        for (int k = (int)floor(at) - 1; k <= (int)floor(at) + 2; k++)
            weight[i * from + (k < 0 ? 0 : k >= from ? from - 1 : k)] += (float)cubic(at - k);
    }
}

/* state: tw_tokens' resize, f32 [patches, grid^2], in device memory; NULL: the position embedding has these very patches. */
static int tokens_open(tw_node *n)
{
    const int H = n->in.H, W = n->in.W, g = side_of(n);
    if (!resized(n))
        return 0;
    const size_t bytes = tokens_bytes(n);
    float *down = tw_calloc((size_t)(H + W) * (size_t)g, sizeof *down), *both = tw_calloc(bytes, 1);
    int rc = -1;
    if (down == NULL || both == NULL)
        goto done;
    float *across = down + (size_t)H * (size_t)g;
    resize_weights(down, H, g);
    resize_weights(across, W, g);
    for (int i = 0; i < H * W; i++)
        for (int k = 0; k < g * g; k++)
            both[(size_t)i * (size_t)(g * g) + (size_t)k] = down[i / W * g + k / g] * across[i % W * g + k % g];
    n->state = n->ctx->be->alloc(n->ctx->dev, bytes);
    rc = n->state == NULL ? tw_backend_failed(n->ctx->be)
                          : TW_BACKEND(n->ctx->be, n->ctx->be->upload(n->ctx->dev, n->state, both, bytes));
done:
    free(down);
    free(both);
    return rc;
}

static void tokens_close(tw_node *n)
{
    n->ctx->be->release(n->ctx->dev, n->state);
}

/* The layer's tensors, in order: cls_token, pos_embed, patch_embed.proj.weight (used by the convolution before it), patch_embed.proj.bias. */
static tw_tokens describe(const tw_node *n)
{
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    return (tw_tokens){.N = n->in.N, .patches = n->in.H * n->in.W, .C = n->in.C, .grid = side_of(n), .bias = p[3].device,
                       .cls = p[0].device, .pos = p[1].device, .resize = n->state};
}

static int tokens_forward(tw_node *n)
{
    const tw_tokens t = describe(n);
    return TW_BACKEND(n->ctx->be, n->ctx->be->tokens_forward(n->ctx->dev, &t, n->y, n->x));
}

static int tokens_backward(tw_node *n)
{
    const tw_tokens t = describe(n);
    const tw_param *p = &n->ctx->net->param[n->layer->param];
    return TW_BACKEND(n->ctx->be, n->ctx->be->tokens_backward(n->ctx->dev, &t, n->dx, p[3].grad, p[0].grad, p[1].grad, n->dy));
}

/* The layer numbers of stochastic depth's random streams: distinct from those of the head's dropout. */
static tw_drop path(const tw_node *n)
{
    enum { BACKBONE = 1 << 12 };
    return tw_node_drop(n, n->layer->drop, BACKBONE + n->layer->number);
}

static int residual_forward(tw_node *n)
{
    if ((n->done & TW_LINEAR_ADDS) != 0)
        return 0;
    const tw_drop drop = path(n);
    const size_t each = tw_shape_elements(&n->in) / (size_t)n->in.N;
    return TW_BACKEND(n->ctx->be, n->ctx->be->residual_forward(n->ctx->dev, &drop, n->y, n->x, n->shortcut, n->in.N, each));
}

/* Without stochastic depth the branch's gradient is that of the sum. */
static bool keeps_all(const tw_node *n)
{
    return !(n->layer->drop > 0);
}

static int residual_backward(tw_node *n)
{
    if (n->dx == n->dy)
        return 0;
    const tw_drop drop = path(n);
    const size_t each = tw_shape_elements(&n->in) / (size_t)n->in.N;
    return TW_BACKEND(n->ctx->be, n->ctx->be->residual_backward(n->ctx->dev, &drop, n->dx, n->dy, n->in.N, each));
}

static int mean_shape(tw_node *n)
{
    n->out = (tw_shape){n->in.N, 1, 1, n->in.C};
    return 0;
}

static int count(const tw_node *n)
{
    return n->layer->count > 0 ? n->layer->count : n->in.H * n->in.W - n->layer->first;
}

static int mean_forward(tw_node *n)
{
    const tw_context *c = n->ctx;
    const int T = n->in.H * n->in.W;
    return TW_BACKEND(c->be, c->be->token_mean_forward(c->dev, n->y, n->x, n->in.N, T, n->in.C, n->layer->first, count(n)));
}

static int mean_backward(tw_node *n)
{
    const tw_context *c = n->ctx;
    const int T = n->in.H * n->in.W;
    return TW_BACKEND(c->be, c->be->token_mean_backward(c->dev, n->dx, n->dy, n->in.N, T, n->in.C, n->layer->first, count(n)));
}

/* Concatenates the shortcut's channels and then x's. No backward pass: for evaluation only. */
static int join_forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    return TW_BACKEND(be, be->join(n->ctx->dev, n->y, n->shortcut, n->x, n->in.N, n->layer->K - n->in.C, n->in.C));
}

const tw_op tw_op_tokens = {.name = "tokens", .needs = offsetof(tw_backend, tokens_forward), .shape = tokens_shape, .open = tokens_open,
                            .close = tokens_close, .bytes = tokens_bytes, .forward = tokens_forward, .backward = tokens_backward};
const tw_op tw_op_residual = {.name = "residual", .needs = offsetof(tw_backend, residual_forward), .keeps_gradient = keeps_all,
                              .forward = residual_forward, .backward = residual_backward};
const tw_op tw_op_token_mean = {.name = "token mean", .needs = offsetof(tw_backend, token_mean_forward), .shape = mean_shape,
                                .forward = mean_forward, .backward = mean_backward};
const tw_op tw_op_join = {.name = "join", .needs = offsetof(tw_backend, join), .forward = join_forward};
