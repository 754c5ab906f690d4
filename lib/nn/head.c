/* The projection head (twist-method.md 1): Linear - BN - act - Dropout - Linear - BN - act - Linear - BN without affine. */
#include "core/error.h"
#include "nn/model.h"
#include "nn/op.h"

#include <string.h>

static int add_linear(tw_net *net, const char *name, int in, int C, int K)
{
    const int param = tw_declare_linear(net, name, C, K);
    return tw_graph_add(&net->head, (tw_layer){.op = &tw_op_linear, .in = in, .shortcut = -1, .param = param, .C = C, .K = K});
}

/* BatchNorm and activation; ReLU is part of the norm, GELU a layer of its own. */
static int add_norm(tw_net *net, const char *name, int in, int C, bool gelu)
{
    const int param = tw_declare_norm(net, name, C, true);
    const int x = tw_graph_norm(&net->head, in, param, C, -1, !gelu);
    return gelu ? tw_graph_add(&net->head, (tw_layer){.op = &tw_op_gelu, .in = x, .shortcut = -1, .param = -1, .C = C, .K = C}) : x;
}

int tw_build_head(tw_net *net, const char *act, int hid_dim, int dim, double drop)
{
    const bool gelu = strcmp(act, "gelu") == 0;
    if (!gelu && strcmp(act, "relu") != 0)
        return tw_fail("%s: unknown activation: there are relu, gelu", act);
    if (hid_dim < 1 || dim < 1 || hid_dim > 1 << 20 || dim > 1 << 20)
        return tw_fail("head of %d and %d units: want 1 to %d", hid_dim, dim, 1 << 20);
    if (!(drop >= 0 && drop < 1))
        return tw_fail("dropout %g: want 0 or more and less than 1", drop);
    tw_graph *g = &net->head;
    int x = add_linear(net, "projection_heads.projection_head.0", 0, net->feature_dim, hid_dim);
    x = add_norm(net, "projection_heads.projection_head.1", x, hid_dim, gelu);
    if (drop > 0)
        x = tw_graph_add(g, (tw_layer){.op = &tw_op_dropout, .in = x, .shortcut = -1, .param = -1, .C = hid_dim, .K = hid_dim,
                                       .drop = drop});
    x = add_linear(net, "projection_heads.projection_head.4", x, hid_dim, hid_dim);
    x = add_norm(net, "projection_heads.projection_head.5", x, hid_dim, gelu);
    x = add_linear(net, "projection_heads.last_linear", x, hid_dim, dim);
    const int param = tw_declare_norm(net, "projection_heads.norm", dim, false);
    tw_graph_add(g, (tw_layer){.op = net->config.bunch_samples > 0 ? &tw_op_bunches : &tw_op_norm, .in = x, .shortcut = -1, .param = param, .C = dim, .K = dim});
    return g->failed || net->failed ? -1 : 0;
}
