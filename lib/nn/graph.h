/* A network as a list of layers, free of sizes, in an order in which they can be computed. Value 0 is the input, layer i
 * makes value i + 1; the last value is the result. In training a value is used by at most two layers. */
#ifndef TW_NN_GRAPH_H
#define TW_NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tw_op tw_op;

typedef struct {
    const tw_op *op;
    int in, shortcut; /* values; shortcut -1: none */
    int param;        /* its first tensor in the state dict; -1: it has none */
    int norm;         /* of a folded convolution: the norm's first tensor */
    int C, K;         /* channels in and out */
    int size, stride, pad;
    bool relu, affine; /* of a norm */
    double eps;        /* of a layer norm */
    double drop;       /* of dropout; of a residual: the share of samples whose branch is left out */
    int number;        /* of a residual: among those of the network */
    int heads;         /* of attention */
    int first, count;  /* tokens of a mean; count 0: all that follow */
} tw_layer;

typedef struct {
    tw_layer *layer;
    int n;
    size_t cap;
    bool failed; /* sticky: out of memory; tw_error() tells */
} tw_graph;

/* Appends the layer and returns its value; param: see tw_layer. */
int tw_graph_add(tw_graph *g, tw_layer layer);
int tw_graph_plain(tw_graph *g, const tw_op *op, int in, int C); /* one without tensors, C channels in and out */
int tw_graph_linear(tw_graph *g, int in, int param, int C, int K);
int tw_graph_conv(tw_graph *g, int in, int param, int C, int K, int size, int stride);
int tw_graph_norm(tw_graph *g, int in, int param, int C, int shortcut, bool relu);
int tw_graph_norm_max(tw_graph *g, int in, int param, int C); /* with a ReLU; windows of 3 x 3 at stride 2, one around */
int tw_graph_layer_norm(tw_graph *g, int in, int param, int C, double eps);
/* The same network for evaluation, each norm that follows a convolution folded into it; its max pooling stays. Result f: free with
 * tw_graph_fini. 0, or -1 and tw_error(). */
int tw_graph_fold(tw_graph *f, const tw_graph *g);
void tw_graph_fini(tw_graph *g);

#endif
