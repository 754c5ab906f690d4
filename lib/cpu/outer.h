/* Inside lib/cpu: weight gradients by an own kernel, for processors with AVX-512 (AVX512-BF16 in bf16). oneDNN 2.6's reach little more than half
 * of peak, its other passes nine tenths. */
#ifndef TW_CPU_OUTER_H
#define TW_CPU_OUTER_H

#include "cpu/device.h"

/* dw [K, taps*C] += sum over the output places (n, oh, ow) of the outer product of dy [K] and the pixels under the taps [taps,C]; db [K] += sum of
 * dy, unless NULL. x [N,H,W,C], dy [N,OH,OW,K] in the device's precision; sums in f32, by slices of the places. The same bits for any number
 * of threads. reserve, add: 0, or -1 and tw_error(). */
bool tw_outer_suits(const tw_dev *d, const tw_conv_shape *s);
int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s); /* its scratch memory; called when a plan is made */
int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, float *db, const void *x, const void *dy);

/* Its bf16 kernel: dw [8,32] f32, row stride `stride`, += dy [steps,8] transposed times x [steps,32], both in words (avx512.h). */
void tw_outer_tile(float *dw, size_t stride, const uint32_t *dy, const uint32_t *x, int steps);

#endif
