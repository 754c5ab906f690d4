/* Kinds of layers (tw_op): shape inference, memory kept for the backward pass, forward and backward. One file per kind. A node is a layer
 * bound to sizes and memory inside a pass. Functions return 0, or -1 and tw_error(). */
#ifndef TW_NN_OP_H
#define TW_NN_OP_H

#include "nn/backend.h"
#include "nn/graph.h"
#include "nn/model.h"

typedef struct {
    int N, H, W, C;
} tw_shape;

/* What all nodes of a pass share. */
typedef struct {
    tw_net *net;
    const tw_backend *be;
    tw_dev *dev;
    bool train; /* a backward pass will follow */
    bool batch; /* batch statistics and dropout: in training and for a teacher */
    int B;      /* samples of a view on this rank */
    int64_t step; /* number of the training step, for dropout */
} tw_context;

typedef struct tw_node tw_node;

struct tw_node {
    const tw_layer *layer;
    int index; /* of the layer in its graph */
    tw_context *ctx;
    tw_shape in, out;
    int64_t first_row; /* number of this pass's first row among the plan's view-major rows */
    /* Activations, in device memory. NULL: there is none, or it is never stored (not_made). */
    const void *x, *shortcut;
    void *y;
    /* Gradients. dy, dy2: of y, from the layers that use it (dy2 NULL: only one does, or op->sums_gradients is false and dy holds their sum).
     * dx NULL: not wanted. What the op leaves in dy is the shortcut's gradient. */
    void *dy, *dx;
    const void *dy2;
    bool adds; /* backward adds to dx, which holds the gradient from another layer that uses x */
    void *keep;      /* the op's own device memory, keep_bytes long (set by open) */
    size_t keep_bytes;
    void *state;     /* the op's own: a backend's conv or linear */
    /* Fusion, in bits of TW_CONV_... and TW_LINEAR_...: does: work of adjacent layers that this node does; done: work of this node that an adjacent
     * one does. maker: the layer that made x; reader: the only layer that reads y; NULL: no fusion with it. */
    int does, done;
    tw_node *maker, *reader;
    tw_node *aside; /* of a norm: the norm that makes its shortcut, applied on the fly (norm_apply_two); or NULL */
    bool not_made;  /* y is never stored: its only reader recomputes it as it reads (TW_CONV_THROUGH, aside), or the sum with the shortcut is
                     * stored instead (TW_LINEAR_ADDS) */
};

/* Work of adjacent layers that a linear layer fuses with its own; distinct from the bits of TW_CONV_.... */
enum {
    TW_LINEAR_ADDS = 1 << 8,          /* forward: the residual sum that follows */
    TW_LINEAR_GELU = 1 << 9,          /* forward: the GELU that follows */
    TW_LINEAR_GELU_BACKWARD = 1 << 10, /* backward: the gradient of the GELU before it, whose dx and dy share their memory */
};

struct tw_op {
    const char *name;
    size_t needs;                  /* offset of the entry of tw_backend that it needs and a backend may lack; 0: none */
    bool sums_gradients;           /* backward adds dy2 itself */
    bool adds_gradient;            /* backward can add to dx (a convolution can with TW_CONV_BACKWARD_SUMS, too) */
    int (*norms)(const tw_node *n); /* which bits of n->does (fusion with adjacent norms) the backend can do; < 0: it failed. NULL: none */
    bool (*keeps_gradient)(const tw_node *n); /* dx may share dy's memory; NULL: never */
    bool reads_x;                  /* backward reads x; false: x's memory may be reused after the forward pass */
    bool (*reads_y)(const tw_node *n); /* backward reads y; NULL: it does not */
    int (*shape)(tw_node *n);      /* sets n->out from n->in. NULL: the same with K channels */
    int (*open)(tw_node *n);       /* creates state, sets keep_bytes, once shapes are known. NULL: nothing to do */
    void (*close)(tw_node *n);     /* NULL: nothing to do */
    size_t (*bytes)(const tw_node *n); /* memory of state; NULL: 0 */
    int (*weights)(tw_node *n);    /* called when the parameters have changed; NULL: nothing to do */
    void (*count)(tw_node *n);     /* host bookkeeping before a forward pass with batch statistics (num_batches_tracked); NULL: none */
    int (*forward)(tw_node *n);
    int (*backward)(tw_node *n);
};

extern const tw_op tw_op_conv, tw_op_conv_folded, tw_op_norm, tw_op_norm_max, tw_op_bunches, tw_op_maxpool, tw_op_mean, tw_op_linear,
    tw_op_relu, tw_op_gelu, tw_op_dropout, tw_op_layer_norm, tw_op_tokens, tw_op_attention, tw_op_residual, tw_op_token_mean, tw_op_join;

/* The mask of dropout with probability p for the node's rows (or samples); p is taken as 0 in evaluation. */
tw_drop tw_node_drop(const tw_node *n, double p, int layer);

/* Shared by the norm and the norm fused with max pooling. The norm as the backend takes it: */
tw_norm tw_norm_of(const tw_node *n);
size_t tw_norm_keeps(const tw_node *n); /* bytes at the beginning of keep */
void tw_norm_count(tw_node *n);
/* Sets norm->mean and rstd: of the batch, over all ranks that share the statistics; in evaluation, the running ones. */
int tw_norm_find_statistics(const tw_node *n, const tw_norm *norm);
/* All-reduces norm->sums over those ranks. */
int tw_norm_total(const tw_node *n, const tw_norm *norm);

static inline bool tw_is_norm(const tw_layer *l)
{
    return l->op == &tw_op_norm || l->op == &tw_op_norm_max;
}

/* A pooling as the backend takes it. */
tw_pool_shape tw_pool_of(const tw_node *n);

/* Shared by the convolution and the folded one; tw_conv_out also by the layers with max pooling. */
int tw_conv_out(tw_node *n);
int tw_conv_open(tw_node *n);
void tw_conv_close(tw_node *n);
size_t tw_conv_node_bytes(const tw_node *n);

static inline int64_t tw_shape_rows(const tw_shape *s)
{
    return (int64_t)s->N * s->H * s->W;
}

static inline size_t tw_shape_elements(const tw_shape *s)
{
    return (size_t)tw_shape_rows(s) * (size_t)s->C;
}

#endif
