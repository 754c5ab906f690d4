/* Resizing as Pillow's Image.resize does it: two passes, each with weights of 22 bits in whole numbers and rounded to 8 bits, the
 * filter widened when shrinking. Along x first or, as Pillow does since version 13, along y first where the height shrinks by
 * more than twice the pixels that the width does. Bit for bit. */
#ifndef TW_IMAGE_RESAMPLE_H
#define TW_IMAGE_RESAMPLE_H

#include "image/workspace.h"

typedef enum { TW_BILINEAR, TW_BICUBIC } tw_filter;

/* crop of the image (within it), resized to w x h, of which the rectangle `part` (within 0, 0, h, w) becomes ws->view; flip:
 * mirrored left to right. As image.crop(..).resize((w, h), filter).crop(..): pixels outside the crop count for nothing. Only
 * what the part needs is worked out. 0, or -1 and tw_error() where there is no memory. */
int tw_resize(tw_workspace *ws, const tw_rgb *image, const tw_area *crop, int w, int h, const tw_area *part, tw_filter filter,
              bool flip);

#endif
