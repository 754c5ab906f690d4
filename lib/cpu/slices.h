/* Inside lib/cpu: weight gradients summed over slices of the output places. The number of slices follows from the shape, not from the threads, so
 * the bits are the same for any number of threads, and a thread reads its own places only. */
#ifndef TW_CPU_SLICES_H
#define TW_CPU_SLICES_H

#include "cpu/vec.h"

/* Number of slices: at most 8, such that their gradients, of `each` bytes, fit `bytes` together and each slice has at least `least` of the n
 * steps. */
int tw_slices_count(size_t each, size_t bytes, int64_t n, int64_t least);

/* Number of parts to divide each slice into so that every thread gets the same number of parts. */
int tw_slices_parts(int slices, int threads);

/* to [n] += each slice [n], in order; slices begin `apart` floats after one another. */
void tw_slices_add(float *to, const float *slice, int slices, size_t apart, size_t n);

#endif
