/* Image operations applied in a drawn order, bit for bit as with Pillow: those of torchvision's ColorJitter on Pillow images, and those of
 * timm's RandAugment. All work on ws->view in place. */
#ifndef TW_IMAGE_STEPS_H
#define TW_IMAGE_STEPS_H

#include "image/workspace.h"

/* Each operation has one value, described here. The first four are in the order of ColorJitter's arguments. */
typedef enum {
    TW_BRIGHTNESS,   /* factor >= 0; 1 changes nothing */
    TW_CONTRAST,     /* the same */
    TW_SATURATION,   /* the same */
    TW_HUE,          /* shift in turns, -0.5 .. 0.5; trunc(255 * turns) is added to the 8-bit hue; 0 still rounds through HSV */
    TW_AUTOCONTRAST, /* value not used (ImageOps.autocontrast) */
    TW_EQUALIZE,     /* value not used */
    TW_INVERT,       /* value not used */
    TW_POSTERIZE,    /* bits to keep, 0..8 */
    TW_SOLARIZE,     /* threshold, 0..256: values from it on are inverted */
    TW_SOLARIZE_ADD, /* added to values below 128 */
    TW_SHARPNESS,    /* factor >= 0 */
    TW_ROTATE,       /* degrees, counter-clockwise; this and the following: bicubic, pixels from outside get tw_fill */
    TW_SHEAR_X,      /* horizontal shift in pixels per row */
    TW_SHEAR_Y,      /* vertical shift in pixels per column */
    TW_TRANSLATE_X,  /* shift as a fraction of the width */
    TW_TRANSLATE_Y,  /* shift as a fraction of the height */
    TW_STEP_KINDS,
} tw_step_kind;
extern const char *const tw_step_names[]; /* "brightness", ..., NULL */

/* ImageNet's mean colour, timm's fill colour. */
extern const unsigned char tw_fill[3];

typedef struct {
    tw_step_kind kind;
    double value;
} tw_step;

/* Applies n steps (at most TW_MAX_STEPS) in order, then, if grey is set, replaces all three planes by Pillow's convert("L"). 0, or -1 and
 * tw_error() if memory is short. */
enum { TW_MAX_STEPS = 16 };
int tw_steps(tw_workspace *ws, const tw_step *step, int n, bool grey);

/* Called by tw_steps, each for some kinds: lookup tables (TW_AUTOCONTRAST to TW_SOLARIZE_ADD), TW_SHARPNESS, and bicubic transformations
 * (TW_ROTATE to TW_TRANSLATE_Y). Return as tw_steps. */
void tw_step_lookup(tw_workspace *ws, const tw_step *step);
int tw_step_sharpen(tw_workspace *ws, double factor);
int tw_step_transform(tw_workspace *ws, const tw_step *step);

#endif
