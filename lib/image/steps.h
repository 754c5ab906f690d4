/* The operations that change a view's pixels in an order of their own, bit for bit as Pillow's: ColorJitter's, with torchvision's
 * arithmetic on Pillow images, and RandAugment's as timm defines them. All work on ws->view in place. */
#ifndef TW_IMAGE_STEPS_H
#define TW_IMAGE_STEPS_H

#include "image/workspace.h"

/* Each has one number (the first of ColorJitter's are in the order of its arguments). */
typedef enum {
    TW_BRIGHTNESS,   /* factor >= 0; 1 changes nothing */
    TW_CONTRAST,     /* the same */
    TW_SATURATION,   /* the same */
    TW_HUE,          /* -0.5 .. 0.5 turns, by trunc(255 * turn) 255ths; 0 still rounds through HSV */
    TW_AUTOCONTRAST, /* - (ImageOps.autocontrast) */
    TW_EQUALIZE,     /* - */
    TW_INVERT,       /* - */
    TW_POSTERIZE,    /* bits to keep, 0..8 */
    TW_SOLARIZE,     /* 255 - v from this value on, 0..256 */
    TW_SOLARIZE_ADD, /* added to values below 128 */
    TW_SHARPNESS,    /* factor >= 0 */
    TW_ROTATE,       /* degrees, counter-clockwise; this and the following: bicubic, what comes from outside is TW_FILL */
    TW_SHEAR_X,      /* pixels to a pixel of height */
    TW_SHEAR_Y,
    TW_TRANSLATE_X,  /* part of the width */
    TW_TRANSLATE_Y,  /* part of the height */
    TW_STEP_KINDS,
} tw_step_kind;
extern const char *const tw_step_names[]; /* "brightness", ..., NULL */

/* ImageNet's mean colour, as timm fills with. */
extern const unsigned char tw_fill[3];

typedef struct {
    tw_step_kind kind;
    double value;
} tw_step;

/* Applies n (at most TW_MAX_STEPS) steps in order, then, where grey is true, convert("L") on all three planes. 0, or -1 and
 * tw_error() where there is no memory. */
enum { TW_MAX_STEPS = 16 };
int tw_steps(tw_workspace *ws, const tw_step *step, int n, bool grey);

/* The parts: a table of 256 values for each plane (TW_AUTOCONTRAST to TW_SOLARIZE_ADD), TW_SHARPNESS, and the bicubic
 * transformations (TW_ROTATE to TW_TRANSLATE_Y). As tw_steps. */
void tw_step_lookup(tw_workspace *ws, const tw_step *step);
int tw_step_sharpen(tw_workspace *ws, double factor);
int tw_step_transform(tw_workspace *ws, const tw_step *step);

#endif
