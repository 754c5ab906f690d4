/* Inside lib/cuda: attention as cuDNN's fused graphs, in 16 bits. */
#ifndef TW_CUDA_ATTENTION_H
#define TW_CUDA_ATTENTION_H

#include "cuda/dnn.h"
#include "nn/backend.h"

/* Operands: queries, keys and values, pointers to the first of each in a packed [N,T,3,heads,width]; y; log_sum; SCALE, 1 / sqrt(width). Of
 * the backward pass also the gradients of all these, ONE, which is 1, and ROWS, f32 [N,heads,T], room for the sums of dy y. SCALE and ONE
 * are values. */
enum {
    TW_ATTENTION_Q = 1, TW_ATTENTION_K, TW_ATTENTION_V, TW_ATTENTION_Y, TW_ATTENTION_LOG_SUM, TW_ATTENTION_SCALE,
    TW_ATTENTION_DQ, TW_ATTENTION_DK, TW_ATTENTION_DV, TW_ATTENTION_DY, TW_ATTENTION_ONE, TW_ATTENTION_ROWS
};

/* The graph in b, in the form that cuDNN knows as one kernel which holds no T x T matrix in memory. The gradient of queries is summed in
 * a fixed order. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_attention_graph(tw_dnn *b, bool backward, const tw_attention *a, tw_dtype t, const tw_dnn_site *at);

/* The memory a plan may want: the backward pass does 800 MB for 512 pictures of 197 tokens and 12 heads, 2.3 GB for 256 of 785 and 6. */
#define TW_ATTENTION_WORKSPACE ((size_t)4 << 30)

/* What a plan for it is kept under. */
void tw_attention_key(char *key, size_t size, bool backward, const tw_attention *a, tw_dtype t);

void tw_attention_close(tw_dev *d); /* frees the plans that the device keeps */

#endif
