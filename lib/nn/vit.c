/* Vision transformers (Dosovitskiy et al. 2020, DeiT's sizes) as timm and DINO build them: pre-norm, bias in every linear layer, exact GELU,
 * CLS token, stochastic depth that grows linearly with depth. */
#include "core/error.h"
#include "nn/model.h"
#include "nn/op.h"

#include <stdio.h>

static const double EPS = 1e-6; /* of the layer norms */

/* x + branch; drop: probability that a sample's branch is dropped */
static int add_residual(tw_graph *g, int branch, int x, int C, double drop, int number)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_residual, .in = branch, .shortcut = x, .param = -1, .C = C, .K = C,
                                      .drop = drop, .number = number});
}

/* The mean of count tokens from token `first` on; count 0: all of them. */
static int add_mean(tw_graph *g, int in, int C, int first, int count)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_token_mean, .in = in, .shortcut = -1, .param = -1, .C = C, .K = C,
                                      .first = first, .count = count});
}

static int add_attention(tw_graph *g, int qkv, int C, int heads)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_attention, .in = qkv, .shortcut = -1, .param = -1, .C = 3 * C, .K = C,
                                      .heads = heads});
}

/* Patch embedding: pictures to tokens. */
static int add_stem(tw_net *net, int C, int patch, int grid)
{
    tw_graph *g = &net->backbone;
    const int first = tw_declare_token(net, "backbone.cls_token", 1, C);
    tw_declare_token(net, "backbone.pos_embed", 1 + grid * grid, C);
    tw_declare_patches(net, "backbone.patch_embed.proj", C, patch);
    const int x = tw_graph_add(g, (tw_layer){.op = &tw_op_conv, .in = 0, .shortcut = -1, .param = first + 2, .C = 3, .K = C,
                                             .size = patch, .stride = patch, .pad = 0});
    return tw_graph_add(g, (tw_layer){.op = &tw_op_tokens, .in = x, .shortcut = -1, .param = first, .C = C, .K = C});
}

static int declare_linear(tw_net *net, int block, const char *part, int C, int K)
{
    char text[64];
    snprintf(text, sizeof text, "backbone.blocks.%d.%s", block, part);
    return tw_declare_linear(net, text, C, K, true);
}

static int declare_norm(tw_net *net, int block, const char *part, int C)
{
    char text[64];
    snprintf(text, sizeof text, "backbone.blocks.%d.%s", block, part);
    return tw_declare_layer_norm(net, text, C);
}

/* A transformer block. cls: only its CLS token is wanted; then everything after the attention is computed for that token alone. */
static int add_block(tw_net *net, int i, int x, int C, int heads, double drop, bool cls)
{
    tw_graph *g = &net->backbone;
    int y = tw_graph_layer_norm(g, x, declare_norm(net, i, "norm1", C), C, EPS);
    y = tw_graph_linear(g, y, declare_linear(net, i, "attn.qkv", C, 3 * C), C, 3 * C);
    y = add_attention(g, y, C, heads);
    if (cls) {
        y = add_mean(g, y, C, 0, 1);
        x = add_mean(g, x, C, 0, 1);
    }
    y = tw_graph_linear(g, y, declare_linear(net, i, "attn.proj", C, C), C, C);
    x = add_residual(g, y, x, C, drop, 2 * i);
    y = tw_graph_layer_norm(g, x, declare_norm(net, i, "norm2", C), C, EPS);
    y = tw_graph_linear(g, y, declare_linear(net, i, "mlp.fc1", C, 4 * C), C, 4 * C);
    y = tw_graph_plain(g, &tw_op_gelu, y, 4 * C);
    y = tw_graph_linear(g, y, declare_linear(net, i, "mlp.fc2", 4 * C, C), 4 * C, C);
    return add_residual(g, y, x, C, drop, 2 * i + 1);
}

/* Appends a block's CLS token (or its mean patch token) after the final norm to the features collected so far (value `before` of D channels; -1:
 * none). As the norm treats tokens separately, the CLS token is picked before it. */
static int add_result(tw_graph *g, int before, int D, int x, int norm, int C, bool patch_mean)
{
    const int y = patch_mean ? add_mean(g, tw_graph_layer_norm(g, x, norm, C, EPS), C, 1, 0)
                             : tw_graph_layer_norm(g, add_mean(g, x, C, 0, 1), norm, C, EPS);
    if (before < 0)
        return y;
    return tw_graph_add(g, (tw_layer){.op = &tw_op_join, .in = y, .shortcut = before, .param = -1, .C = C, .K = D + C});
}

static int check(const tw_net_config *c)
{
    if (c->patch_size < 0 || c->patch_size > TW_VIT_PX)
        return tw_fail("patches of %d px: want 1 to %d", c->patch_size, TW_VIT_PX);
    if (c->pos_grid < 0 || c->pos_grid > 256)
        return tw_fail("position embedding of %d x %d patches: want 1 to 256 each way", c->pos_grid, c->pos_grid);
    if (!(c->drop_path >= 0 && c->drop_path < 1))
        return tw_fail("stochastic depth of %g: want 0 or more and less than 1", c->drop_path);
    if (c->last_blocks < 0 || c->last_blocks > TW_VIT_DEPTH)
        return tw_fail("the last %d blocks: there are %d", c->last_blocks, TW_VIT_DEPTH);
    return 0;
}

int tw_build_vit(tw_net *net, const tw_vit_kind *k, const tw_net_config *c)
{
    if (check(c) != 0)
        return -1;
    const int C = k->width, patch = c->patch_size > 0 ? c->patch_size : TW_VIT_PATCH;
    const int taken = c->last_blocks > 0 ? c->last_blocks : 1;
    tw_graph *g = &net->backbone;
    int x = add_stem(net, C, patch, c->pos_grid > 0 ? c->pos_grid : TW_VIT_PX / patch), out[TW_VIT_DEPTH];
    for (int i = 0; i < TW_VIT_DEPTH; i++)
        out[i] = x = add_block(net, i, x, C, k->heads, c->drop_path * i / (TW_VIT_DEPTH - 1),
                               i == TW_VIT_DEPTH - 1 && !c->patch_mean);
    const int norm = tw_declare_layer_norm(net, "backbone.norm", C);
    int y = -1, D = 0;
    for (int i = TW_VIT_DEPTH - taken; i < TW_VIT_DEPTH; i++, D += C)
        y = add_result(g, y, D, out[i], norm, C, false);
    if (c->patch_mean) {
        add_result(g, y, D, x, norm, C, true);
        D += C;
    }
    net->feature_dim = D;
    return g->failed || net->failed ? -1 : 0;
}
