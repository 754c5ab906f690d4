/* Inside lib/cuda: the three passes of a convolution as cuDNN graphs. */
#ifndef TW_CUDA_CONV_H
#define TW_CUDA_CONV_H

#include "cuda/dnn.h"
#include "cuda/form.h"
#include "nn/backend.h"

/* Operands. Inside a graph only: G, a weight gradient before it is widened; RESULT and what follows it, before a folded norm. */
enum { TW_CONV_X = 1, TW_CONV_W, TW_CONV_Y, TW_CONV_G, TW_CONV_BIAS, TW_CONV_SHORTCUT, TW_CONV_RESULT };

/* The graph of a pass, in b; of a folded shape: with bias (f32 [K]), shortcut and ReLU as the shape says. wide: a weight gradient in f32
 * though activations have 16 bits. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_conv_graph(tw_dnn *b, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, bool wide, const tw_dnn_site *at);

/* What a plan for it is kept under: everything that tw_conv_graph looks at. */
void tw_conv_key(char *key, size_t size, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, bool wide);

#endif
