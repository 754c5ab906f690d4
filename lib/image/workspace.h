/* What one thread works with: memory that grows to the largest picture and view, and is used again, so that nothing is
 * allocated per sample; and the kernels of this processor. */
#ifndef TW_IMAGE_WORKSPACE_H
#define TW_IMAGE_WORKSPACE_H

#include "image/kernels.h"

/* Pixels as they come, u8 [h, w, 3], RGB, rows without gaps. Borrowed. */
typedef struct {
    const uint8_t *data;
    int w, h;
} tw_rgb;

/* A rectangle of pixels. */
typedef struct {
    int top, left, height, width;
} tw_area;

/* A picture as planes R, G, B: row y of channel c begins at plane[c] + y * pitch. pitch is a multiple of the kernels' lane
 * and there are rows up to a multiple of lane; what is there beyond w and h is undefined. */
typedef struct {
    uint8_t *plane[3];
    size_t pitch;
    int w, h;
} tw_planes;

/* Memory that only grows; its contents do not survive growing. Aligned to 64. */
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

/* kernels NULL: the fastest. Nothing is allocated yet. */
void tw_workspace_init(tw_workspace *ws, const tw_kernels *kernels);
void tw_workspace_fini(tw_workspace *ws);

/* At least that many bytes. NULL and tw_error() where there is no memory. */
void *tw_room_reserve(tw_room *r, size_t bytes);
void tw_room_free(tw_room *r);

/* Makes ws->view a picture of w x h, its pixels undefined. 0, or -1 and tw_error(). */
int tw_workspace_view(tw_workspace *ws, int w, int h);

static inline size_t tw_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
