/* Making views of pictures. */
#ifndef TW_IMAGE_VIEW_H
#define TW_IMAGE_VIEW_H

#include "image/policy.h"

/* Makes the view v (from tw_view_draw, with the same kind) of the image into to, u8 [size, size, 3], size = kind->size. 0, or -1 and tw_error() if
 * memory is short. */
int tw_view_make(tw_workspace *ws, uint8_t *to, const tw_rgb *image, const tw_view_kind *kind, const tw_view *v);

/* A growing block of bytes. Zero-initialise; free(data). */
typedef struct {
    unsigned char *data;
    size_t size, cap;
} tw_trace;

/* Replaces the contents of t by the parameters of n views in msgpack: a list of maps (keys: twist-augment(1)). 0, or -1 and tw_error(). */
int tw_trace_views(tw_trace *t, const tw_view *v, int n);

#endif
