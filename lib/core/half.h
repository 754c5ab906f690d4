/* IEEE 754 binary16 (fp16) conversions. */
#ifndef TW_CORE_HALF_H
#define TW_CORE_HALF_H

#include <stddef.h>
#include <stdint.h>

float tw_half_to_float(uint16_t h); /* exact */

/* For n elements. `in` of the first may be unaligned; the second rounds to nearest, ties to even; magnitudes from 65520 on become infinite. */
void tw_halves_to_floats(float *out, const void *in, size_t n);
void tw_halves_from_floats(uint16_t *out, const float *in, size_t n);

#endif
