#include "image/workspace.h"

#include "core/mem.h"

#include <stdlib.h>

void tw_workspace_init(tw_workspace *ws, const tw_kernels *kernels)
{
    *ws = (tw_workspace){.k = kernels != NULL ? kernels : tw_kernels_best()};
}

void tw_workspace_fini(tw_workspace *ws)
{
    tw_room *const all[] = {&ws->pixels, &ws->tile, &ws->strip, &ws->middle, &ws->edge, &ws->blur, &ws->weights, &ws->x_room,
                            &ws->y_room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tw_room_free(all[i]);
    *ws = (tw_workspace){0};
}

void *tw_room_reserve(tw_room *r, size_t bytes)
{
    if (bytes <= r->cap)
        return r->data;
    free(r->data);
    r->data = tw_alloc64(bytes);
    r->cap = r->data != NULL ? bytes : 0;
    return r->data;
}

void tw_room_free(tw_room *r)
{
    free(r->data);
    *r = (tw_room){0};
}

int tw_workspace_view(tw_workspace *ws, int w, int h)
{
    const size_t pitch = tw_round_up((size_t)w, (size_t)ws->k->lane), rows = tw_round_up((size_t)h, (size_t)ws->k->lane);
    uint8_t *all = tw_room_reserve(&ws->pixels, 3 * rows * pitch);
    if (all == NULL)
        return -1;
    ws->view = (tw_planes){{all, all + rows * pitch, all + 2 * rows * pitch}, pitch, w, h};
    return 0;
}
