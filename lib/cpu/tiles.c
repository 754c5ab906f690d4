#include "cpu/tiles.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/vec.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 128, STRIP = 256 /* columns: their weights stay in the cache while the rows go by */ };

/* A thread's own: the product of a tile in any strip but the last, in the last one. */
typedef struct {
    dnnl_stream_t stream;
    tw_prim tile[2];
} lane;

struct tw_tiles {
    tw_dev *dev;
    int rows, C, K, strips, width[2]; /* columns of a strip, of the last one */
    lane *lane;
    tw_prim pack[2];
    void *w;              /* [strips] as the products want them */
    size_t strip_bytes, scratch, type;
};

static bool last(const tw_tiles *t, int strip)
{
    return strip == t->strips - 1;
}

/* ROWS rows of one strip, by one thread. */
static int make_tile(tw_prim *p, const tw_tiles *t, int width)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DST, dnnl_query_dst_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                      {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0}, {DNNL_ARG_BIAS, dnnl_query_weights_md, 1}};
    const dnnl_data_type_t type = tw_dnnl_type(t->dev->precision);
    const int threads = omp_get_max_threads();
    tw_md src = tw_md_matrix(ROWS, t->C, false, type), weights = tw_md_new(2, (dnnl_dims_t){t->C, width}, type, NULL);
    tw_md dst = tw_md_new(2, (dnnl_dims_t){ROWS, width}, type, (dnnl_dims_t){t->K, 1}), bias = tw_md_matrix(1, width, false, dnnl_f32);
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    int rc = -1;
    omp_set_num_threads(1);
    if (src == NULL || weights == NULL || dst == NULL || bias == NULL)
        tw_fail("linear layer of %d to %d: refused by oneDNN", t->C, t->K);
    else if (attr != NULL)
        rc = TW_DNNL(tw_matmul_pd(&p->pd, t->dev->engine, src, weights, bias, dst, attr));
    if (rc == 0)
        rc = tw_prim_make(p, t->dev, arg, 4);
    omp_set_num_threads(threads);
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

/* Scratch memory in use: the last rows, fewer than a tile has, and what becomes of them; each thread's for its product. */
static char *tail(const tw_tiles *t)
{
    return tw_dev_scratch(t->dev, TW_SCRATCH_COLUMNS, (size_t)ROWS * (size_t)(t->C + t->K) * t->type);
}

static char *scratch(const tw_tiles *t)
{
    return tw_dev_scratch(t->dev, TW_SCRATCH_PRIMITIVE, (size_t)t->dev->threads * t->scratch);
}

static int build(tw_tiles *t)
{
    for (int i = 0; i < t->dev->threads; i++) {
        if (TW_DNNL(dnnl_stream_create(&t->lane[i].stream, t->dev->engine, dnnl_stream_default_flags)) != 0)
            return -1;
        for (int k = 0; k < 2; k++)
            if (make_tile(&t->lane[i].tile[k], t, t->width[k]) != 0)
                return -1;
    }
    for (int k = 0; k < 2; k++) {
        const tw_prim *p = &t->lane->tile[k];
        const size_t bytes = dnnl_memory_desc_get_size(tw_prim_md(p, dnnl_query_weights_md));
        if (make_pack(&t->pack[k], t, p, t->width[k]) != 0)
            return -1;
        t->strip_bytes = bytes > t->strip_bytes ? bytes : t->strip_bytes;
        t->scratch = p->scratch > t->scratch ? p->scratch : t->scratch;
    }
    t->strip_bytes = (t->strip_bytes + 63) / 64 * 64;
    t->scratch = (t->scratch + 63) / 64 * 64;
    t->w = tw_alloc64((size_t)t->strips * t->strip_bytes);
    return t->w != NULL && tail(t) != NULL && scratch(t) != NULL ? 0 : -1;
}

tw_tiles *tw_tiles_new(tw_dev *d, int rows, int C, int K)
{
    tw_tiles *t = tw_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    *t = (tw_tiles){.dev = d, .rows = rows, .C = C, .K = K, .strips = (int)tw_pieces(K, STRIP), .type = tw_dtype_size(d->precision)};
    t->width[0] = K < STRIP ? K : STRIP;
    t->width[1] = K - (t->strips - 1) * STRIP;
    t->lane = tw_calloc((size_t)d->threads, sizeof *t->lane);
    if (t->lane != NULL && build(t) == 0)
        return t;
    tw_tiles_free(t);
    return NULL;
}

void tw_tiles_free(tw_tiles *t)
{
    if (t == NULL)
        return;
    for (int i = 0; t->lane != NULL && i < t->dev->threads; i++) {
        tw_prim_fini(&t->lane[i].tile[0]);
        tw_prim_fini(&t->lane[i].tile[1]);
        if (t->lane[i].stream != NULL)
            dnnl_stream_destroy(t->lane[i].stream);
    }
    tw_prim_fini(&t->pack[0]);
    tw_prim_fini(&t->pack[1]);
    free(t->lane);
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
    char *end = rest > 0 ? tail(t) : NULL, *room = scratch(t);
    int status = dnnl_success;
    if (room == NULL || (rest > 0 && end == NULL))
        return -1;
    if (rest > 0) {
        memcpy(end, (const char *)x + from * x_row, (size_t)rest * x_row);
        memset(end + (size_t)rest * x_row, 0, (size_t)(ROWS - rest) * x_row);
    }
#pragma omp parallel for schedule(static) reduction(max : status)
    for (int i = 0; i < t->strips * tiles; i++) {
        lane *l = &t->lane[omp_get_thread_num()];
        const int strip = i / tiles, tile = i % tiles;
        const size_t column = (size_t)strip * STRIP, row = (size_t)tile * ROWS;
        char *in = tile < whole ? (char *)x + row * x_row : end, *out = tile < whole ? (char *)y + row * y_row : end + ROWS * x_row;
        void *data[] = {out + column * t->type, in, (char *)t->w + (size_t)strip * t->strip_bytes, (void *)(b + column)};
        const dnnl_status_t st = tw_prim_execute(&l->tile[last(t, strip)], l->stream, data, room + (size_t)omp_get_thread_num() * t->scratch);
        status = (int)st > status ? (int)st : status;
    }
    if (tw_dnnl_check((dnnl_status_t)status, "dnnl_primitive_execute(") != 0)
        return -1;
    if (rest > 0)
        memcpy((char *)y + from * y_row, end + ROWS * x_row, (size_t)rest * y_row);
    return 0;
}
