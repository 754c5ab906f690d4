/* A convolution as cuDNN gets it. */
#ifndef TW_CUDA_FORM_H
#define TW_CUDA_FORM_H

#ifdef __cplusplus
extern "C" {
#endif

#include "nn/backend.h"

/* Channels are filled up to whole 16 bytes, without which there are only slow ways: P of them, the last ones zero. One of few channels
 * and stride 2 (the stem's) is done on blocks of 2 x 2 pixels, whose channels lie side by side, row by row: the same sums with stride 1
 * and about half the filter's side, in which the plain filter begins `lead` rows and columns late. One of few channels whose windows lie
 * side by side (a vision transformer's patches) is done on blocks that are its windows, with a filter of one. */
typedef struct {
    tw_conv_shape plain;
    int N, H, W, P, OH, OW, K;
    int size, stride, before, after; /* before, after: rows and columns of padding */
    int block, lead;                 /* 1 and 0, 2 and what whole blocks leave of the filter's first one, or the plain size and 0 */
} tw_conv_form;

/* For activations of type t. */
tw_conv_form tw_conv_form_of(const tw_conv_shape *s, tw_dtype t);

#ifdef __cplusplus
}
#endif

#endif
