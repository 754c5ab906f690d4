/* Pillow's ImageFilter.GaussianBlur, bit for bit: three extended box blurs (Gwosdek et al., "Theoretical foundations of
 * Gaussian convolution by extended box filtering", 2011) along x, then three along y, each rounded to 8 bits. */
#ifndef TW_IMAGE_BLUR_H
#define TW_IMAGE_BLUR_H

#include "image/workspace.h"

#define TW_MAX_SIGMA 60.0

/* Blurs the first `channels` planes of ws->view in place. sigma: in pixels, 0 .. TW_MAX_SIGMA (Pillow's argument `radius`); 0 changes
 * nothing. 0, or -1 and tw_error() if memory is short. */
int tw_blur(tw_workspace *ws, double sigma, int channels);

#endif
