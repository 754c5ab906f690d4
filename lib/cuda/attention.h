/* Inside lib/cuda: attention as fused cuDNN graphs, for 16-bit activations. */
#ifndef TW_CUDA_ATTENTION_H
#define TW_CUDA_ATTENTION_H

#include "cuda/dnn.h"
#include "nn/backend.h"

/* Operands: Q, K, V: pointers to the first query, key and value in a packed [N,T,3,heads,width]; Y; LOG_SUM; SCALE: 1 / sqrt(width). Backward
 * also: DQ, DK, DV, DY; ONE: 1; ROWS: f32 [N,heads,T], room for the sums of dy y. SCALE and ONE are passed by value. */
enum {
    TW_ATTENTION_Q = 1, TW_ATTENTION_K, TW_ATTENTION_V, TW_ATTENTION_Y, TW_ATTENTION_LOG_SUM, TW_ATTENTION_SCALE,
    TW_ATTENTION_DQ, TW_ATTENTION_DK, TW_ATTENTION_DV, TW_ATTENTION_DY, TW_ATTENTION_ONE, TW_ATTENTION_ROWS
};

/* Builds the graph in b, in the pattern that cuDNN maps to its flash attention kernel, which stores no T x T matrix. The gradient of the queries
 * is summed in a fixed order. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_attention_graph(tw_dnn *b, bool backward, const tw_attention *a, tw_dtype t, const tw_dnn_site *at);

/* Most workspace that a plan may use. The backward pass takes 800 MB for 512 pictures of 197 tokens and 12 heads, 2.3 GB for 256 of 785 and 6. */
#define TW_ATTENTION_WORKSPACE ((size_t)4 << 30)

/* The key of its plan in the cache. */
void tw_attention_key(char *key, size_t size, bool backward, const tw_attention *a, tw_dtype t);

void tw_attention_close(tw_dev *d); /* frees the plans that the device keeps */

#endif
