/* Inside lib/cpu: the weight gradient of a convolution by im2col, where oneDNN's direct method is slow: dy [rows,K] transposed, times the columns
 * [rows, taps*C] (the pixels under the taps), rows = N*OH*OW. Contracts as in nn/backend.h. */
#ifndef TW_CPU_COLUMNS_H
#define TW_CPU_COLUMNS_H

#include "cpu/device.h"

typedef struct tw_columns tw_columns;
bool tw_columns_suit(const tw_dev *d, const tw_conv_shape *s);
tw_columns *tw_columns_new(tw_dev *d, const tw_conv_shape *s); /* NULL and tw_error() */
void tw_columns_free(tw_columns *c);
int tw_columns_backward_weights(tw_columns *c, float *dw, const void *x, const void *dy);

#endif
