/* Inside lib/cpu: weight gradients by oneDNN's direct method. Pictures are taken in slices, as many as the shape says, a slice by a
 * thread alone: what oneDNN adds up by several threads depends on how many they are. Where a gradient is so large (above 2 MB) that slices
 * would be too few for many threads, it is left to oneDNN, but for a network's first layer (large patches), which is a small part of a step. */
#ifndef TW_CPU_DIRECT_GRADIENT_H
#define TW_CPU_DIRECT_GRADIENT_H

#include "cpu/prim.h"

typedef struct tw_direct_gradient tw_direct_gradient;

/* desc: of the convolution, weights of f32 in any layout; its src and dst are not looked at. plain: how the gradient [K,C,taps in use] lies where it
 * is to be added; hint: the forward pass. NULL and tw_error(). */
tw_direct_gradient *tw_direct_gradient_new(tw_dev *d, const tw_conv_shape *s, const tw_conv_desc *desc, tw_const_md plain,
                                           const_dnnl_primitive_desc_t hint);
void tw_direct_gradient_free(tw_direct_gradient *g); /* NULL is allowed */

/* dw, as plain, += x [N,H,W,C] by dy [N,OH,OW,K]. 0, or -1 and tw_error(). */
int tw_direct_gradient_add(tw_direct_gradient *g, float *dw, const void *x, const void *dy);

#endif
