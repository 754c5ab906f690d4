/* The textures and outlines that define the classes. Every texture has two tones, each on half of the plane, and every outline has the same
 * area, so that neither brightness nor size reveals the class. */
#ifndef TW_SYNTH_TEXTURE_H
#define TW_SYNTH_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { TW_SYNTH_CLASSES = 10 };

/* The class names in alphabetical order, so that class k is the k-th folder. */
extern const char *const tw_synth_names[TW_SYNTH_CLASSES];

/* Whether the point (u, v) of class k's texture has the first tone. The period is about 1; salt selects an instance of an irregular texture;
 * radial ones are centred on (0, 0). */
bool tw_synth_tone(int k, double u, double v, uint32_t salt);

/* Whether the point (x, y) is inside class k's outline, which is centred on (0, 0) and has area pi. */
bool tw_synth_inside(int k, double x, double y);

/* Upper bound of the distance from (0, 0) of points inside any outline. */
#define TW_SYNTH_REACH 2.2

/* A pseudo-random number in [0, 1) for a point of the integer grid; the basis of irregular textures and backgrounds. */
double tw_synth_hash(int64_t x, int64_t y, uint32_t salt);

#endif
