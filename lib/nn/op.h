/* A kind of layer: how it changes a shape, what it keeps, how it runs forward and backward. One file per kind, one row
 * here; a node is a layer bound to sizes and memory inside a pass. */
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
    bool batch; /* statistics of the batch, dropout: in training, and of a teacher */
    int B;      /* samples of a view */
    int64_t step; /* of the forward pass under way */
} tw_context;

typedef struct tw_node tw_node;

struct tw_node {
    const tw_layer *layer;
    int index; /* of the layer in its graph */
    tw_context *ctx;
    tw_shape in, out;
    int64_t first_row; /* of the plan's view-major rows: where this pass begins */
    /* Activations, in device memory. NULL: there is none, or it is in no memory (not_made). */
    const void *x, *shortcut;
    void *y;
    /* Gradients. dy, dy2: of y, one from each layer that uses it (dy2 NULL: one does; an op with sums_gradients false finds
     * their sum in dy). dx NULL: not wanted. The shortcut's gradient is what the op leaves in dy. */
    void *dy, *dx;
    const void *dy2;
    bool adds; /* to what is in dx already, from another layer that uses x */
    void *keep;      /* the op's own device memory, keep_bytes long (set by open) */
    size_t keep_bytes;
    void *state;     /* the op's own: a backend's conv or linear */
    /* Of an op that does work of the layers beside it: what it does, a sum of TW_CONV_... or TW_LINEAR_...; the layer that made x, and the one that
     * alone reads y, or NULL. Of those: what is done for them. */
    int does, done;
    tw_node *maker, *reader;
    tw_node *aside; /* of a norm: the one whose result is its shortcut, which it makes on the way; or NULL */
    bool not_made;  /* y is in no memory: its only reader makes it as it reads (TW_CONV_THROUGH, aside), or it goes on at once (TW_LINEAR_ADDS) */
};

/* What a linear layer does for those beside it; no bits of TW_CONV_.... */
enum {
    TW_LINEAR_ADDS = 1 << 8,          /* forward: with the shortcut of the residual sum behind it */
    TW_LINEAR_GELU = 1 << 9,          /* forward: with the GELU behind it */
    TW_LINEAR_GELU_BACKWARD = 1 << 10, /* backward: with the one before it, whose dx is in the place of its dy */
};

struct tw_op {
    const char *name;
    size_t needs;                  /* offset of the entry of tw_backend that not every backend has; 0: none */
    bool sums_gradients;           /* backward adds dy2 itself */
    bool adds_gradient;            /* backward can add to dx; so it does with TW_CONV_BACKWARD_SUMS */
    int (*norms)(const tw_node *n); /* what it can do for the norms beside it, of what it may (does); < 0: it failed. NULL: nothing */
    bool (*keeps_gradient)(const tw_node *n); /* dx is in dy's place where memory allows it; NULL: never */
    bool reads_x;                  /* backward reads x: else its memory may be used again after the forward pass */
    bool (*reads_y)(const tw_node *n); /* so with y; NULL: it does not */
    int (*shape)(tw_node *n);      /* in -> out. NULL: the same with K channels */
    int (*open)(tw_node *n);       /* NULL: nothing to do. Called once shapes are known */
    void (*close)(tw_node *n);     /* NULL: nothing to do */
    size_t (*bytes)(const tw_node *n); /* of state; NULL: 0 */
    int (*weights)(tw_node *n);    /* the parameters have changed; NULL: nothing to do */
    void (*count)(tw_node *n);     /* what the host keeps of a forward pass in training, before it; NULL: nothing */
    int (*forward)(tw_node *n);
    int (*backward)(tw_node *n);
};

extern const tw_op tw_op_conv, tw_op_conv_folded, tw_op_norm, tw_op_norm_max, tw_op_bunches, tw_op_maxpool, tw_op_mean, tw_op_linear,
    tw_op_relu, tw_op_gelu, tw_op_dropout, tw_op_layer_norm, tw_op_tokens, tw_op_attention, tw_op_residual, tw_op_token_mean, tw_op_join;

/* What decides about the node's rows (or samples) with chance p. */
tw_drop tw_node_drop(const tw_node *n, double p, int layer);

/* A norm as the backend takes it, and what a norm and one with pooling behind it have in common. */
tw_norm tw_norm_of(const tw_node *n);
size_t tw_norm_keeps(const tw_node *n); /* bytes at the beginning of keep */
void tw_norm_count(tw_node *n);
/* mean and rstd: of the batch, with all ranks that take it together, or the running ones. */
int tw_norm_find_statistics(const tw_node *n, const tw_norm *norm);
/* The sums of all those ranks from each one's. */
int tw_norm_total(const tw_node *n, const tw_norm *norm);

static inline bool tw_is_norm(const tw_layer *l)
{
    return l->op == &tw_op_norm || l->op == &tw_op_norm_max;
}

/* A pooling as the backend takes it. */
tw_pool_shape tw_pool_of(const tw_node *n);

/* What a convolution and a folded one have in common, and its shape those with max pooling too. */
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
