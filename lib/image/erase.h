/* Random erasing in "pixel" mode: what timm's RandomErasing does after normalisation, in 8 bits. */
#ifndef TW_IMAGE_ERASE_H
#define TW_IMAGE_ERASE_H

#include "image/workspace.h"

#include "core/philox.h"

/* Fills the rectangle `area` (height 0: none) of pixels, u8 [size, size, 3], with noise from r: for z standard normal,
 * 255 * (mean + deviation * z) with ImageNet's mean and deviation, rounded and clipped. z comes from 16 random bits by a table.
 * Thread-safe. */
void tw_erase(uint8_t *pixels, int size, const tw_area *area, tw_rng r);

#endif
