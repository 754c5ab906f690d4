/* Inside lib/cpu: weight gradients by an own kernel, where the processor has AVX-512 (AVX512-BF16 in bf16). oneDNN 2.6's run at little
 * more than half the processor's rate where its other passes reach nine tenths. */
#ifndef TW_CPU_OUTER_H
#define TW_CPU_OUTER_H

#include "cpu/device.h"

/* dw [K, taps*C] += the sum over the output places of dy [K] times the pixels under the taps [taps,C]; db [K] += that of dy, unless it is NULL;
 * x [N,H,W,C], dy [N,OH,OW,K] in the device's precision, sums in f32, in slices of the places. The same bits for any number of threads.
 * 0, or -1 and tw_error(). */
bool tw_outer_suits(const tw_dev *d, const tw_conv_shape *s);
int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s); /* its scratch memory, when a plan is made */
int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, float *db, const void *x, const void *dy);

/* The kernel of it in bf16: dw [8,32] in f32, rows `stride` apart, += dy [steps,8] transposed times x [steps,32], words of two numbers each. */
void tw_outer_tile(float *dw, size_t stride, const uint32_t *dy, const uint32_t *x, int steps);

#endif
