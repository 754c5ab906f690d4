/* Views out of pictures. */
#ifndef TW_IMAGE_VIEW_H
#define TW_IMAGE_VIEW_H

#include "image/policy.h"

/* Makes the view that was drawn: to[size * size * 3] as u8 [size, size, 3]. 0, or -1 and tw_error() where there is no memory. */
int tw_view_make(tw_workspace *ws, uint8_t *to, const tw_rgb *image, const tw_view_kind *kind, const tw_view *v);

/* A growing block of bytes. */
typedef struct {
    unsigned char *data;
    size_t size, cap;
} tw_trace;

/* Replaces t by the msgpack of what was drawn for n views, a list of maps (twist-augment(1) says which). 0, or -1. */
int tw_trace_views(tw_trace *t, const tw_view *v, int n);

#endif
