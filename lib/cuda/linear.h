/* Inside lib/cuda: a linear layer (linear.c), and together with the GELU beside it (linear_gelu.c, linear_graph.c). */
#ifndef TW_CUDA_LINEAR_H
#define TW_CUDA_LINEAR_H

#include "cuda/dnn.h"
#include "cuda/product.h"
#include "nn/backend.h"

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    bool train;
    tw_product forward[2];   /* [1]: onto a shortcut, made when it is wanted */
    bool biased[2];          /* they add the bias */
    tw_product data, weights, both; /* both: weights, and the sums of dy's columns into sums; desc NULL: there is no such */
    float *sums;             /* f32 [K] */
    const float *w, *b;      /* borrowed, device memory */
    void *narrow, *bias;     /* the weights in 16 bits (NULL in f32); the bias in the type of the activations */
    size_t bytes;
};

/* The weights in the type of the activations. */
const void *tw_linear_weights_of(const tw_linear *l);

/* cuDNN's graph of a product and a GELU. Forward: z = gelu(y), y = x w^T + bias, y in memory in training only. Backward, of the layer behind a GELU:
 * dx = (dy w) gelu'(before). x, dx, before [rows,C], w [K,C], y, z, dy [rows,K], C and K multiples of 8. */
enum {
    TW_LINEAR_X = 1, TW_LINEAR_W, TW_LINEAR_BIAS, TW_LINEAR_Y, TW_LINEAR_Z, TW_LINEAR_DY, TW_LINEAR_BEFORE, TW_LINEAR_DX
};

typedef struct {
    bool backward, train;
    int rows, C, K;
} tw_gelu_shape;

/* In b. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_linear_graph(tw_dnn *b, const tw_gelu_shape *s, tw_dtype t, const tw_dnn_site *at);
/* What a plan for it is kept under. */
void tw_linear_key(char *key, size_t size, const tw_gelu_shape *s, tw_dtype t);

void tw_linear_gelu_close(tw_dev *d); /* frees the plans that the device keeps */

#endif
