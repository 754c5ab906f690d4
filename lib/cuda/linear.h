/* Inside lib/cuda: a linear layer (linear.c), also fused with an adjacent GELU (linear_gelu.c, linear_graph.c). */
#ifndef TW_CUDA_LINEAR_H
#define TW_CUDA_LINEAR_H

#include "cuda/dnn.h"
#include "cuda/product.h"
#include "nn/backend.h"

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    bool train;
    tw_product forward[2];   /* [1]: adds a shortcut, made at first use */
    bool biased[2];          /* whether that product also adds the bias */
    tw_product data, weights, both; /* gradients; both: of the weights, and dy's column sums into `sums`; desc NULL: not used */
    float *sums;             /* f32 [K]: gradient of the bias */
    const float *w, *b;      /* borrowed, device memory */
    void *narrow, *bias;     /* copies: of the weights in 16 bits (NULL in f32), of the bias in the activations' type */
    size_t bytes;
};

/* The weights in the activations' type. */
const void *tw_linear_weights_of(const tw_linear *l);

/* Operands of cuDNN's graph of a matrix product fused with a GELU. Forward: z = gelu(y), y = x w^T + bias, y stored in training only. Backward, of
 * a layer that follows a GELU: dx = (dy w) gelu'(before). x, dx, before [rows,C], w [K,C], y, z, dy [rows,K]; C, K multiples of 8. */
enum {
    TW_LINEAR_X = 1, TW_LINEAR_W, TW_LINEAR_BIAS, TW_LINEAR_Y, TW_LINEAR_Z, TW_LINEAR_DY, TW_LINEAR_BEFORE, TW_LINEAR_DX
};

typedef struct {
    bool backward, train;
    int rows, C, K;
} tw_gelu_shape;

/* Builds the graph in b. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_linear_graph(tw_dnn *b, const tw_gelu_shape *s, tw_dtype t, const tw_dnn_site *at);
/* The key of its plan in the cache. */
void tw_linear_key(char *key, size_t size, const tw_gelu_shape *s, tw_dtype t);

void tw_linear_gelu_close(tw_dev *d); /* frees the plans that the device keeps */

#endif
