/* Synthetic labelled pictures: several objects of one class, each with its own position, size, orientation and polarity, on a clouded
 * background, partly covered, unevenly lit, with noise. None of these properties depends on the class. */
#ifndef TW_SYNTH_SCENE_H
#define TW_SYNTH_SCENE_H

#include <stdint.h>

/* Draws picture `index` of a part (0: training, 1: validation) with objects of class k (0 .. TW_SYNTH_CLASSES - 1) into rgb, u8 [S,S,3]. A pure
 * function of its arguments; only the objects' outline and texture depend on k. */
void tw_synth_draw(uint8_t *rgb, int S, int k, uint64_t seed, uint32_t part, uint64_t index);

#endif
