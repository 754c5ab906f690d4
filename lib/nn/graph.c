#include "nn/graph.h"

#include "core/mem.h"
#include "nn/op.h"

#include <stdlib.h>

int tw_graph_add(tw_graph *g, tw_layer layer)
{
    if (g->failed || tw_grow(&g->layer, &g->cap, (size_t)g->n + 1, sizeof *g->layer) != 0) {
        g->failed = true;
        return 0;
    }
    g->layer[g->n++] = layer;
    return g->n;
}

int tw_graph_plain(tw_graph *g, const tw_op *op, int in, int C)
{
    return tw_graph_add(g, (tw_layer){.op = op, .in = in, .shortcut = -1, .param = -1, .C = C, .K = C});
}

int tw_graph_linear(tw_graph *g, int in, int param, int C, int K)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_linear, .in = in, .shortcut = -1, .param = param, .C = C, .K = K});
}

int tw_graph_conv(tw_graph *g, int in, int param, int C, int K, int size, int stride)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_conv, .in = in, .shortcut = -1, .param = param, .C = C, .K = K, .size = size,
                                      .stride = stride, .pad = size / 2});
}

int tw_graph_norm(tw_graph *g, int in, int param, int C, int shortcut, bool relu)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_norm, .in = in, .shortcut = shortcut, .param = param, .C = C, .K = C,
                                      .relu = relu, .affine = true});
}

int tw_graph_norm_max(tw_graph *g, int in, int param, int C)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_norm_max, .in = in, .shortcut = -1, .param = param, .C = C, .K = C, .size = 3,
                                      .stride = 2, .pad = 1, .relu = true, .affine = true});
}

int tw_graph_layer_norm(tw_graph *g, int in, int param, int C, double eps)
{
    return tw_graph_add(g, (tw_layer){.op = &tw_op_layer_norm, .in = in, .shortcut = -1, .param = param, .C = C, .K = C,
                                      .eps = eps});
}

void tw_graph_fini(tw_graph *g)
{
    free(g->layer);
    *g = (tw_graph){0};
}
