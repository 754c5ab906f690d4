/* The form in which a convolution is passed to cuDNN. */
#ifndef TW_CUDA_FORM_H
#define TW_CUDA_FORM_H

#ifdef __cplusplus
extern "C" {
#endif

#include "nn/backend.h"

/* Channels are padded with zeros to P, a multiple of 16 bytes: otherwise cuDNN has slow kernels only. A convolution with few channels and stride 2
 * (a stem) is computed space-to-depth: blocks of 2 x 2 pixels become pixels whose channels are the block's, row by row. The sums are the
 * same with stride 1 and a filter of about half the side, in which the plain filter begins `lead` rows and columns late. With few channels
 * and windows that do not overlap (a vision transformer's patches) the blocks are the windows, and the filter is 1 x 1. */
typedef struct {
    tw_conv_shape plain;
    int N, H, W, P, OH, OW, K;
    int size, stride, before, after; /* before, after: rows and columns of padding */
    int block, lead;                 /* side of a block: 1, 2, or the plain filter's size; lead: 0 unless block is 2 */
} tw_conv_form;

/* For activations of type t. */
tw_conv_form tw_conv_form_of(const tw_conv_shape *s, tw_dtype t);

#ifdef __cplusplus
}
#endif

#endif
