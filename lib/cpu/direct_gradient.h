/* Inside lib/cpu: weight gradients by oneDNN's direct method. The pictures are divided into slices, their number fixed by the shape, each computed
 * by a single thread: oneDNN's own sums over several threads would depend on the number of threads. If a gradient is so large (above 2 MB)
 * that there would be too few slices for many threads, all threads run one oneDNN primitive. */
#ifndef TW_CPU_DIRECT_GRADIENT_H
#define TW_CPU_DIRECT_GRADIENT_H

#include "cpu/prim.h"

typedef struct tw_direct_gradient tw_direct_gradient;

/* desc: of the convolution, with f32 weights in any layout; its src and dst are ignored. plain: layout of the gradient [K,C,taps in use] in dw;
 * hint: the forward primitive. NULL and tw_error(). */
tw_direct_gradient *tw_direct_gradient_new(tw_dev *d, const tw_conv_shape *s, const tw_conv_desc *desc, tw_const_md plain,
                                           const_dnnl_primitive_desc_t hint);
void tw_direct_gradient_free(tw_direct_gradient *g); /* NULL is allowed */

/* dw, in the layout plain, += the gradient from x [N,H,W,C] and dy [N,OH,OW,K]. 0, or -1 and tw_error(). */
int tw_direct_gradient_add(tw_direct_gradient *g, float *dw, const void *x, const void *dy);

#endif
