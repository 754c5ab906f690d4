/* Inside lib/cuda: the three passes of a convolution as cuDNN graphs. */
#ifndef TW_CUDA_CONV_H
#define TW_CUDA_CONV_H

#include "cuda/dnn.h"
#include "cuda/form.h"
#include "nn/backend.h"

/* Operands. Inside a graph only: G, a weight gradient before it is widened; RESULT and what follows it, before a folded norm; MADE and what follows
 * it, the steps of a norm on the way in. */
enum { TW_CONV_X = 1, TW_CONV_W, TW_CONV_Y, TW_CONV_G, TW_CONV_BIAS, TW_CONV_SHORTCUT, TW_CONV_SUM, TW_CONV_SQUARES, TW_CONV_SCALE, TW_CONV_OFFSET,
       TW_CONV_FROM, TW_CONV_RESULT, TW_CONV_MADE = TW_CONV_RESULT + 3 };

/* What a graph gives beside or instead of the pass as it is. WIDE: a weight gradient in f32 though activations have 16 bits. WITH_SUMS: with y
 * the sums of it and of its squares, f32 [K] each. NORM_THROUGH: the pass of relu(x scale + offset), scale and offset [C] of the activations'
 * type; forward with sums. NORM_APPLIED, forward: x = relu(from scale + offset + shortcut) first; with sums. FROM, SHORTCUT: as large as x. */
typedef enum { TW_CONV_AS_IT_IS, TW_CONV_WIDE, TW_CONV_WITH_SUMS, TW_CONV_NORM_THROUGH, TW_CONV_NORM_APPLIED } tw_conv_kind;

/* Whether there are sums with the pass. */
bool tw_conv_sums(tw_dnn_pass pass, tw_conv_kind kind);

/* The graph of a pass, in b; of a folded shape: with bias (f32 [K]), shortcut and ReLU as the shape says. NULL and tw_error(): cuDNN refuses it. */
cudnnBackendDescriptor_t tw_conv_graph(tw_dnn *b, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind, const tw_dnn_site *at);

/* What a plan for it is kept under: everything that tw_conv_graph looks at. */
void tw_conv_key(char *key, size_t size, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind);

#endif
