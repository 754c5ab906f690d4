/* Colour as torchvision's transforms and Pillow's ImageEnhance change it, bit for bit, on ws->view. */
#ifndef TW_IMAGE_COLOUR_H
#define TW_IMAGE_COLOUR_H

#include "image/workspace.h"

/* The operations of ColorJitter, each with one number: the factor (>= 0; 1 changes nothing) of brightness, contrast and
 * saturation, the turn of hue (-0.5 .. 0.5; torchvision turns by trunc(255 * turn) 255ths; 0 still rounds through HSV). */
typedef enum { TW_BRIGHTNESS, TW_CONTRAST, TW_SATURATION, TW_HUE } tw_jitter;
extern const char *const tw_jitter_names[]; /* "brightness", ..., NULL */

typedef struct {
    tw_jitter what;
    double value;
} tw_jitter_step;

/* Applies n (at most TW_MAX_JITTER) steps in order, then, where grey is true, convert("L") on all three planes. */
enum { TW_MAX_JITTER = 8 };
void tw_colour(tw_workspace *ws, const tw_jitter_step *step, int n, bool grey);

#endif
