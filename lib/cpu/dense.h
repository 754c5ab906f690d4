/* Inside conv.c: two other ways to convolve small pictures, where oneDNN's direct method is slow. Both are matrix products around
 * a copy; which way is taken depends on the shape only. */
#ifndef TW_CPU_DENSE_H
#define TW_CPU_DENSE_H

#include "nn/backend.h"

/* A convolution that sees (nearly) the whole picture at every place, as one matrix [OH*OW*K, H*W*C] with zeros where a tap would
 * meet padding or a pixel is not seen: in training, 3x3 on up to 3 x 3 pixels. */
typedef struct tw_dense tw_dense;
bool tw_dense_suits(const tw_conv_shape *s);
tw_dense *tw_dense_new(tw_dev *d, const tw_conv_shape *s); /* NULL and tw_error() */
void tw_dense_free(tw_dense *c);
size_t tw_dense_bytes(const tw_dense *c);
void tw_dense_weights(tw_dense *c, const float *w); /* contracts as in nn/backend.h */
int tw_dense_forward(tw_dense *c, void *y, const void *x);
int tw_dense_backward_data(tw_dense *c, void *dx, const void *dy);
int tw_dense_backward_weights(tw_dense *c, float *dw, const void *x, const void *dy);

/* The weight gradient alone: dy [rows,K] transposed, times the pixels under the taps [rows, taps*C], rows being N*OH*OW. */
typedef struct tw_columns tw_columns;
bool tw_columns_suit(const tw_conv_shape *s);
tw_columns *tw_columns_new(tw_dev *d, const tw_conv_shape *s); /* NULL and tw_error() */
void tw_columns_free(tw_columns *c);
int tw_columns_backward_weights(tw_columns *c, float *dw, const void *x, const void *dy);

#endif
