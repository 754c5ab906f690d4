#include "cpu/tiles.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/lanes.h"
#include "cpu/vec.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 128, STRIP = 256 /* columns, whose weights stay in the cache while all rows are multiplied */ };

struct tw_tiles {
    tw_dev *dev;
    int rows, C, K, strips, width[2]; /* columns of a strip, of the last strip */
    tw_lanes *lanes;      /* the products of a tile: kind 0 in any strip but the last, 1 in the last */
    tw_prim pack[2];
    void *w;              /* [strips], packed for the products */
    size_t strip_bytes, type;
};

static bool last(const tw_tiles *t, int strip)
{
    return strip == t->strips - 1;
}

/* Makes the product of a tile: ROWS rows of one strip. */
static int make_tile(tw_prim *p, int kind, void *context)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DST, dnnl_query_dst_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                      {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0}, {DNNL_ARG_BIAS, dnnl_query_weights_md, 1}};
    const tw_tiles *t = context;
    const dnnl_data_type_t type = tw_dnnl_type(t->dev->precision);
    const int width = t->width[kind];
    tw_md src = tw_md_matrix(ROWS, t->C, false, type), weights = tw_md_new(2, (dnnl_dims_t){t->C, width}, type, NULL);
    tw_md dst = tw_md_new(2, (dnnl_dims_t){ROWS, width}, type, (dnnl_dims_t){t->K, 1}), bias = tw_md_matrix(1, width, false, dnnl_f32);
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    int rc = -1;
    if (src == NULL || weights == NULL || dst == NULL || bias == NULL)
        tw_fail("linear layer of %d to %d: refused by oneDNN", t->C, t->K);
    else if (attr != NULL)
        rc = TW_DNNL(tw_matmul_pd(&p->pd, t->dev->engine, src, weights, bias, dst, attr));
    if (rc == 0)
        rc = tw_prim_make(p, t->dev, arg, 4);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    tw_md_free(src);
    tw_md_free(weights);
    tw_md_free(dst);
    tw_md_free(bias);
    return rc;
}

/* The copy of a strip's weights into the layout of its product. */
static int make_pack(tw_prim *p, const tw_tiles *t, const tw_prim *tile, int width)
{
    tw_md from = tw_md_matrix(t->C, width, true, dnnl_f32);
    const int rc = from != NULL ? tw_prim_reorder(p, t->dev, from, tw_prim_md(tile, dnnl_query_weights_md), false) : -1;
    tw_md_free(from);
    return rc;
}

/* Scratch memory for the last rows, padded to a tile, and their results. */
static char *tail(const tw_tiles *t)
{
    return tw_dev_scratch(t->dev, TW_SCRATCH_COLUMNS, (size_t)ROWS * (size_t)(t->C + t->K) * t->type);
}

static int build(tw_tiles *t)
{
    t->lanes = tw_lanes_new(t->dev, true, make_tile, t);
    if (t->lanes == NULL)
        return -1;
    for (int k = 0; k < 2; k++) {
        const tw_prim *p = tw_lanes_prim(t->lanes, k);
        const size_t bytes = dnnl_memory_desc_get_size(tw_prim_md(p, dnnl_query_weights_md));
        if (make_pack(&t->pack[k], t, p, t->width[k]) != 0)
            return -1;
        t->strip_bytes = bytes > t->strip_bytes ? bytes : t->strip_bytes;
    }
    t->strip_bytes = (t->strip_bytes + 63) / 64 * 64;
    t->w = tw_alloc64((size_t)t->strips * t->strip_bytes);
    return t->w != NULL && tail(t) != NULL ? 0 : -1;
}

tw_tiles *tw_tiles_new(tw_dev *d, int rows, int C, int K)
{
    tw_tiles *t = tw_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    *t = (tw_tiles){.dev = d, .rows = rows, .C = C, .K = K, .strips = (int)tw_pieces(K, STRIP), .type = tw_dtype_size(d->precision)};
    t->width[0] = K < STRIP ? K : STRIP;
    t->width[1] = K - (t->strips - 1) * STRIP;
    if (build(t) == 0)
        return t;
    tw_tiles_free(t);
    return NULL;
}

void tw_tiles_free(tw_tiles *t)
{
    if (t == NULL)
        return;
    tw_lanes_free(t->lanes);
    tw_prim_fini(&t->pack[0]);
    tw_prim_fini(&t->pack[1]);
    free(t->w);
    free(t);
}

size_t tw_tiles_bytes(const tw_tiles *t)
{
    return (size_t)t->strips * t->strip_bytes;
}

int tw_tiles_weights(tw_tiles *t, const float *w)
{
    for (int strip = 0; strip < t->strips; strip++) {
        void *from = (float *)w + (size_t)strip * STRIP * (size_t)t->C; /* read only */
        if (tw_prim_run(&t->pack[last(t, strip)], t->dev, (void *[]){from, (char *)t->w + (size_t)strip * t->strip_bytes}) != 0)
            return -1;
    }
    return 0;
}

int tw_tiles_run(tw_tiles *t, void *y, const void *x, const float *b)
{
    const int whole = t->rows / ROWS, tiles = (int)tw_pieces(t->rows, ROWS), rest = t->rows - whole * ROWS;
    const size_t x_row = (size_t)t->C * t->type, y_row = (size_t)t->K * t->type, from = (size_t)whole * ROWS;
    char *end = rest > 0 ? tail(t) : NULL, *room = tw_lanes_scratch(t->lanes);
    int status = dnnl_success;
    if (room == NULL || (rest > 0 && end == NULL))
        return -1;
    if (rest > 0) {
        memcpy(end, (const char *)x + from * x_row, (size_t)rest * x_row);
        memset(end + (size_t)rest * x_row, 0, (size_t)(ROWS - rest) * x_row);
    }
#pragma omp parallel for schedule(static) reduction(max : status)
    for (int i = 0; i < t->strips * tiles; i++) {
        const int strip = i / tiles, tile = i % tiles;
        const size_t column = (size_t)strip * STRIP, row = (size_t)tile * ROWS;
        char *in = tile < whole ? (char *)x + row * x_row : end, *out = tile < whole ? (char *)y + row * y_row : end + ROWS * x_row;
        void *data[] = {out + column * t->type, in, (char *)t->w + (size_t)strip * t->strip_bytes, (void *)(b + column)};
        const dnnl_status_t st = tw_lanes_run(t->lanes, last(t, strip), data, room);
        status = (int)st > status ? (int)st : status;
    }
    if (tw_dnnl_check((dnnl_status_t)status, "dnnl_primitive_execute(") != 0)
        return -1;
    if (rest > 0)
        memcpy((char *)y + from * y_row, end + ROWS * x_row, (size_t)rest * y_row);
    return 0;
}
