#include "image/resample.h"

#include <math.h>
#include <string.h>

/* The taps of outputs from .. from + n - 1 of a resize of `size` pixels to `to`; t->first counts from the first input. */
static int make_taps(tw_workspace *ws, tw_taps *t, tw_room *room, int size, int to, int from, int n, tw_filter filter)
{
    const double scale = (double)(float)size / to, widen = scale < 1 ? 1 : scale;
    const tw_scale s = {size, from, scale, 1 / widen, (filter == TW_BICUBIC ? 2 : 1) * widen, filter == TW_BICUBIC};
    const int most = (int)ceil(s.support) * 2 + 1;
    t->n = n;
    t->room = most / 2 + 1;
    const size_t weights = (size_t)n * (size_t)t->room * sizeof(tw_weight);
    t->weight = tw_room_reserve(room, weights + 2 * (size_t)n * sizeof(int));
    const size_t numbers = ((size_t)most + 1) * (size_t)ws->k->lane / 8;
    double *work = tw_room_reserve(&ws->weights, numbers * (sizeof(double) + sizeof(int32_t)));
    if (t->weight == NULL || work == NULL)
        return -1;
    t->first = (int *)((char *)t->weight + weights);
    t->pairs = t->first + n;
    ws->k->taps(t, &s, work, (int32_t *)(void *)(work + numbers));
    return 0;
}

/* The range [*from, *to) of the `size` inputs that the taps use; afterwards t->first counts from *from. */
static void extent(tw_taps *t, int *from, int *to, int size)
{
    *from = t->first[0];
    *to = 0;
    for (int i = 0; i < t->n; i++) {
        const int end = t->first[i] + 2 * t->pairs[i];
        *to = end > *to ? end : *to;
        t->first[i] -= *from;
    }
    if (*to > size)
        *to = size; /* the partner of an odd last tap, with weight 0 */
}

/* Rows of RGB pixels, `columns` used in each; bytes from `end` on must not be read. */
typedef struct {
    const uint8_t *data, *end;
    size_t pitch;
    int rows, columns;
} lines;

/* Pointers to the `lane` rows from y on: after the last row it is repeated, and rows that the kernels would read beyond `end` are copied. */
static int strip_rows(tw_workspace *ws, const uint8_t **row, const lines *from, int y)
{
    const size_t bytes = 3 * (size_t)from->columns, read = tw_round_up(bytes, (size_t)ws->k->lane);
    uint8_t *copy = NULL;
    for (int i = 0; i < ws->k->lane; i++) {
        row[i] = from->data + (size_t)(y + i < from->rows ? y + i : from->rows - 1) * from->pitch;
        if ((size_t)(from->end - row[i]) >= read)
            continue;
        if (copy == NULL && (copy = tw_room_reserve(&ws->edge, read * (size_t)ws->k->lane)) == NULL)
            return -1;
        row[i] = memcpy(copy + (size_t)i * read, row[i], bytes);
    }
    return 0;
}

/* Resizes along x by ws->x: rows of pixels to planes, whose rows are allocated up to a multiple of lane. */
static int across(tw_workspace *ws, const tw_planes *to, const lines *from, bool flip)
{
    const tw_kernels *k = ws->k;
    const size_t lane = (size_t)k->lane, bytes = 3 * (size_t)from->columns, room = tw_round_up((size_t)to->w, TW_TURN);
    uint8_t *tile = tw_room_reserve(&ws->tile, (tw_round_up(bytes, lane) + 3) * lane); /* 3: an odd last tap's partner */
    uint8_t *strip = tw_room_reserve(&ws->strip, 3 * room * lane);
    const uint8_t *row[TW_MAX_LANE];
    if (tile == NULL || strip == NULL)
        return -1;
    for (int y = 0; y < from->rows; y += k->lane) {
        if (strip_rows(ws, row, from, y) != 0)
            return -1;
        k->turn_in(tile, row, bytes);
        k->across(strip, room, tile, &ws->x, 0, to->w, flip);
        for (size_t c = 0; c < 3; c++)
            k->turn_out(to->plane[c] + (size_t)y * to->pitch, to->pitch, strip + c * room * lane, room);
    }
    return 0;
}

/* Resizes along y by ws->y: rows of `bytes` bytes, readable up to a multiple of lane, with one more readable row after the last. */
static void down(const tw_workspace *ws, uint8_t *to, size_t to_pitch, const uint8_t *from, size_t pitch, size_t bytes)
{
    const tw_taps *t = &ws->y;
    for (int y = 0; y < t->n; y++)
        ws->k->down(to + (size_t)y * to_pitch, from + (size_t)t->first[y] * pitch, pitch, t->weight + (size_t)y * (size_t)t->room,
                    t->pairs[y], bytes);
}

/* The same for rows that must not be read beyond from->end: the rows for the last outputs are copied first. */
static int down_lines(tw_workspace *ws, uint8_t *to, size_t to_pitch, const lines *from)
{
    const tw_taps *t = &ws->y;
    const size_t bytes = 3 * (size_t)from->columns, read = tw_round_up(bytes, (size_t)ws->k->lane);
    const size_t have = (size_t)(from->end - from->data);
    size_t pitch = from->pitch, copied = 0; /* rows before the first copied one */
    const uint8_t *rows = from->data;
    for (int y = 0; y < t->n; y++) {
        const size_t first = (size_t)t->first[y], last = first + 2 * (size_t)t->pairs[y] - 1;
        if (rows == from->data && last * pitch + read > have) {
            const size_t n = (size_t)from->rows - first;
            uint8_t *copy = tw_room_reserve(&ws->edge, (n + 1) * read);
            if (copy == NULL)
                return -1;
            for (size_t i = 0; i < n; i++)
                memcpy(copy + i * read, from->data + (first + i) * from->pitch, bytes);
            copied = first;
            rows = copy;
            pitch = read;
        }
        ws->k->down(to + (size_t)y * to_pitch, rows + (first - copied) * pitch, pitch, t->weight + (size_t)y * (size_t)t->room,
                    t->pairs[y], bytes);
    }
    return 0;
}

/* First along x, then along y. */
static int across_down(tw_workspace *ws, const lines *from, bool flip)
{
    const tw_planes *view = &ws->view;
    const size_t rows = tw_round_up((size_t)from->rows + 1, (size_t)ws->k->lane), plane = rows * view->pitch;
    uint8_t *m = tw_room_reserve(&ws->middle, 3 * plane);
    const tw_planes middle = {{m, m + plane, m + 2 * plane}, view->pitch, view->w, from->rows};
    if (m == NULL || across(ws, &middle, from, flip) != 0)
        return -1;
    for (int c = 0; c < 3; c++)
        down(ws, view->plane[c], view->pitch, middle.plane[c], middle.pitch, (size_t)view->w);
    return 0;
}

static int down_across(tw_workspace *ws, const lines *from, bool flip)
{
    const size_t pitch = tw_round_up(3 * (size_t)from->columns, (size_t)ws->k->lane), rows = (size_t)ws->view.h;
    uint8_t *m = tw_room_reserve(&ws->middle, rows * pitch);
    const lines middle = {m, m + rows * pitch, pitch, ws->view.h, from->columns};
    if (m == NULL || down_lines(ws, m, pitch, from) != 0)
        return -1;
    return across(ws, &ws->view, &middle, flip);
}

int tw_resize(tw_workspace *ws, const tw_rgb *image, const tw_area *crop, int w, int h, const tw_area *part, tw_filter filter,
              bool flip)
{
    const size_t pitch = 3 * (size_t)image->w;
    int left, right, top, bottom;
    if (tw_workspace_view(ws, part->width, part->height) != 0 ||
        make_taps(ws, &ws->x, &ws->x_room, crop->width, w, part->left, part->width, filter) != 0 ||
        make_taps(ws, &ws->y, &ws->y_room, crop->height, h, part->top, part->height, filter) != 0)
        return -1;
    extent(&ws->x, &left, &right, crop->width);
    extent(&ws->y, &top, &bottom, crop->height);
    const lines from = {image->data + (size_t)(crop->top + top) * pitch + 3 * (size_t)(crop->left + left),
                        image->data + (size_t)image->h * pitch, pitch, bottom - top, right - left};
    /* Pillow 13 begins with the direction that shrinks more, with a preference for x */
    const int less_x = crop->width > w ? crop->width - w : 0, less_y = crop->height - h;
    return less_y > 2 * less_x ? down_across(ws, &from, flip) : across_down(ws, &from, flip);
}
