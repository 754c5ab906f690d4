/* A network as a list of layers in topological order, independent of batch and picture size. Value 0 is the input, layer i makes value i + 1,
 * the last value is the result. In training at most two layers use a value. */
#ifndef TW_NN_GRAPH_H
#define TW_NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tw_op tw_op;

typedef struct {
    const tw_op *op;
    int in, shortcut; /* numbers of values; shortcut -1: none */
    int param;        /* number of its first tensor in the state dict; -1: it has none */
    int norm;         /* of a folded convolution: number of the norm's first tensor */
    int C, K;         /* channels in and out */
    int size, stride, pad;
    bool relu, affine; /* of a norm */
    double eps;        /* of a layer norm */
    double drop;       /* dropout: probability; residual: probability that a sample's branch is dropped (stochastic depth) */
    int number;        /* of a residual: its number among the network's residuals */
    int heads;         /* of attention */
    int first, count;  /* of a token mean: the tokens averaged; count 0: all from `first` on */
} tw_layer;

typedef struct {
    tw_layer *layer;
    int n;
    size_t cap;
    bool failed; /* sticky: out of memory; tw_error() tells */
} tw_graph;

/* Each appends a layer and returns the number of the value it makes. in, param, shortcut, ...: see tw_layer. Errors are sticky (failed). */
int tw_graph_add(tw_graph *g, tw_layer layer);
int tw_graph_plain(tw_graph *g, const tw_op *op, int in, int C); /* a layer without tensors, C channels in and out */
int tw_graph_linear(tw_graph *g, int in, int param, int C, int K);
int tw_graph_conv(tw_graph *g, int in, int param, int C, int K, int size, int stride);
int tw_graph_norm(tw_graph *g, int in, int param, int C, int shortcut, bool relu);
int tw_graph_norm_max(tw_graph *g, int in, int param, int C); /* BatchNorm, ReLU, 3 x 3 max pooling with stride 2 and padding 1 */
int tw_graph_layer_norm(tw_graph *g, int in, int param, int C, double eps);
/* f: the same network for evaluation, with every BatchNorm that follows a convolution folded into that convolution (max pooling that was fused
 * with the norm becomes a layer of its own). Free f with tw_graph_fini. 0, or -1 and tw_error(). */
int tw_graph_fold(tw_graph *f, const tw_graph *g);
void tw_graph_fini(tw_graph *g);

#endif
