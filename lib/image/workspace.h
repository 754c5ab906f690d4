/* The scratch memory of one thread, which grows to the largest picture and view and is then reused, so that nothing is allocated per
 * sample; and the kernels for this processor. Not thread-safe: one per thread. */
#ifndef TW_IMAGE_WORKSPACE_H
#define TW_IMAGE_WORKSPACE_H

#include "image/kernels.h"

/* An RGB image, u8 [h, w, 3], contiguous. Borrowed. */
typedef struct {
    const uint8_t *data;
    int w, h;
} tw_rgb;

/* A rectangle of pixels. */
typedef struct {
    int top, left, height, width;
} tw_area;

/* A picture as planes R, G, B: row y of channel c begins at plane[c] + y * pitch. pitch is a multiple of the kernels' lane, and rows are
 * allocated up to a multiple of lane; bytes beyond w and h are undefined. */
typedef struct {
    uint8_t *plane[3];
    size_t pitch;
    int w, h;
} tw_planes;

/* A buffer that only grows, losing its contents. Aligned to 64 bytes. */
typedef struct {
    void *data;
    size_t cap;
} tw_room;

typedef struct {
    const tw_kernels *k;
    tw_planes view; /* the view being made */
    tw_room pixels, tile, strip, middle, edge, blur, weights;
    tw_taps x, y;
    tw_room x_room, y_room;
} tw_workspace;

/* kernels NULL: the fastest. Allocates nothing. */
void tw_workspace_init(tw_workspace *ws, const tw_kernels *kernels);
void tw_workspace_fini(tw_workspace *ws);

/* Returns the buffer, grown to at least that many bytes; borrowed. NULL and tw_error() if memory is short. */
void *tw_room_reserve(tw_room *r, size_t bytes);
void tw_room_free(tw_room *r);

/* Makes ws->view a picture of w x h pixels with undefined contents. 0, or -1 and tw_error(). */
int tw_workspace_view(tw_workspace *ws, int w, int h);

static inline size_t tw_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
