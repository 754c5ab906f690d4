/* Pictures with a label: several objects of one class, each at a position, size, orientation and polarity of its own, on a clouded
 * ground, partly hidden, lit from a side, noisy. All of that is drawn without knowing the class. */
#ifndef TW_SYNTH_SCENE_H
#define TW_SYNTH_SCENE_H

#include <stdint.h>

/* Draws picture `index` of a part (0: to train on, 1: to measure on) as an instance of class k into rgb, u8 [S,S,3]. A function of
 * its arguments; everything but the objects' outline and texture is the same for every k. */
void tw_synth_draw(uint8_t *rgb, int S, int k, uint64_t seed, uint32_t part, uint64_t index);

#endif
