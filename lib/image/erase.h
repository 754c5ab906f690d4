/* Random erasing in "pixel" mode: timm's RandomErasing after normalisation, in 8 bits. */
#ifndef TW_IMAGE_ERASE_H
#define TW_IMAGE_ERASE_H

#include "image/workspace.h"

#include "core/philox.h"

/* Fills the rectangle of a u8 [size, size, 3] with noise drawn from r: standard normal numbers as they look before ImageNet's
 * normalisation, 255 * (mean + deviation * z) rounded and clipped (65,536 steps of probability). Thread-safe. */
void tw_erase(uint8_t *pixels, int size, const tw_area *area, tw_rng r);

#endif
