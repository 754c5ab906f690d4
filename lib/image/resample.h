/* Resizing, bit for bit as Pillow's Image.resize: two passes with integer weights of 22 bits, each rounded to 8 bits, the filter widened
 * when shrinking. The first pass is along x, or, as in Pillow from version 13 on, along y if the height shrinks by more than twice as many
 * pixels as the width. */
#ifndef TW_IMAGE_RESAMPLE_H
#define TW_IMAGE_RESAMPLE_H

#include "image/workspace.h"

typedef enum { TW_BILINEAR, TW_BICUBIC } tw_filter;

/* Resizes the rectangle `crop` of the image (inside it) to w x h and puts the rectangle `part` of the result (inside w x h) into ws->view, mirrored
 * left to right if flip is set. As image.crop(..).resize((w, h), filter).crop(..): pixels outside the crop have no influence. Only
 * `part` is computed. 0, or -1 and tw_error() if memory is short. */
int tw_resize(tw_workspace *ws, const tw_rgb *image, const tw_area *crop, int w, int h, const tw_area *part, tw_filter filter,
              bool flip);

#endif
