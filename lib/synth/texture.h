/* The surfaces and outlines that make a class: what a picture's other properties must not tell. Every texture is two-tone and
 * covers half of the plane; every outline has the same area: neither brightness nor size gives a class away. */
#ifndef TW_SYNTH_TEXTURE_H
#define TW_SYNTH_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { TW_SYNTH_CLASSES = 10 };

/* The classes' names, in alphabetical order, so that class k is the k-th folder. */
extern const char *const tw_synth_names[TW_SYNTH_CLASSES];

/* Whether the point (u, v) of class k's texture has the first tone. One period is about 1; salt chooses among the infinitely many
 * instances of the irregular ones; (0, 0) is the middle of the radial ones. */
bool tw_synth_tone(int k, double u, double v, uint32_t salt);

/* Whether the point (x, y) lies inside class k's outline, which is around (0, 0) and has the area pi. */
bool tw_synth_inside(int k, double x, double y);

/* No point of any outline is farther from (0, 0). */
#define TW_SYNTH_REACH 2.2

/* A number in [0, 1) for a point of the integer grid: what irregular textures and backgrounds are made of. */
double tw_synth_hash(int64_t x, int64_t y, uint32_t salt);

#endif
