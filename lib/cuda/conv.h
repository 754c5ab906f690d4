/* Inside lib/cuda: the three passes of a convolution as cuDNN graphs. */
#ifndef TW_CUDA_CONV_H
#define TW_CUDA_CONV_H

#include "cuda/dnn.h"
#include "cuda/form.h"
#include "nn/backend.h"

/* Operands. Virtual, inside a graph only: RESULT ..: steps of a folded norm's epilogue; MADE ..: steps of a norm in the prologue. */
enum { TW_CONV_X = 1, TW_CONV_W, TW_CONV_Y, TW_CONV_BIAS, TW_CONV_SHORTCUT, TW_CONV_SUM, TW_CONV_SQUARES, TW_CONV_SCALE, TW_CONV_OFFSET,
       TW_CONV_FROM, TW_CONV_RESULT, TW_CONV_MADE = TW_CONV_RESULT + 3 };

/* What is fused with a pass. WITH_SUMS (forward): also the sums of y and of its squares, f32 [K] each. NORM_THROUGH: reads relu(x scale + offset)
 * instead of x, scale and offset [C] in the activations' type; forward with sums. NORM_APPLIED (forward): first writes x = relu(from scale +
 * offset + shortcut); with sums. FROM and SHORTCUT have x's size. */
typedef enum { TW_CONV_AS_IT_IS, TW_CONV_WITH_SUMS, TW_CONV_NORM_THROUGH, TW_CONV_NORM_APPLIED } tw_conv_kind;

/* Whether that pass also gives sums. */
bool tw_conv_sums(tw_dnn_pass pass, tw_conv_kind kind);

/* Builds the graph of a pass in b. Folded shape: with bias (f32 [K]), and shortcut and ReLU as the shape says. NULL and tw_error(): cuDNN refuses
 * it. */
cudnnBackendDescriptor_t tw_conv_graph(tw_dnn *b, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind, const tw_dnn_site *at);

/* The key of its plan in the cache: made of everything that tw_conv_graph depends on. */
void tw_conv_key(char *key, size_t size, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind);

#endif
