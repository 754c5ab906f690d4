/* Inside lib/cpu: weight gradients whose places are summed in slices, as many as the shape says and not the threads, so that a thread reads its own
 * places only and the bits are the same for any number of them. */
#ifndef TW_CPU_SLICES_H
#define TW_CPU_SLICES_H

#include "cpu/vec.h"

/* How many: 8, or fewer, so that they hold no more than so many bytes of `each` together, and no less than `least` of n steps each. */
int tw_slices_count(size_t each, size_t bytes, int64_t n, int64_t least);

/* Parts that each slice is divided into, so that as many parts of slices fall to each of the threads. */
int tw_slices_parts(int slices, int threads);

/* to [n] += the slices [n], `apart` numbers one from another, in their order. */
void tw_slices_add(float *to, const float *slice, int slices, size_t apart, size_t n);

#endif
