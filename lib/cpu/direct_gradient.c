#include "cpu/direct_gradient.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/lanes.h"
#include "cpu/slices.h"

#include <stdlib.h>

enum { MOST_SLICES = 64, LEAST_SLICES = 16, SLICES_BYTES = 32 << 20, COLOURS = 3 };

struct tw_direct_gradient {
    tw_dev *dev;
    bool alone;              /* each slice is computed by one thread; false: there is one slice, computed by all threads together */
    int each, slices, last;  /* pictures of a slice; of the last one */
    size_t x_bytes, y_bytes; /* of a slice */
    size_t bytes;            /* of a slice's gradient */
    tw_lanes *lanes;
    tw_prim to_plain;
};

/* Arguments of make. The first primitive chooses the layout of the gradient, the others take the same. */
typedef struct {
    const tw_direct_gradient *g;
    const tw_conv_shape *shape;
    tw_conv_desc desc;
    const_dnnl_primitive_desc_t hint;
} recipe;

static int make(tw_prim *p, int kind, void *context)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                      {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0}};
    recipe *r = context;
    const tw_conv_shape *s = r->shape;
    const dnnl_data_type_t type = tw_dnnl_type(r->g->dev->precision);
    const int n = kind == 0 ? r->g->each : r->g->last;
    tw_md src = tw_md_nhwc(n, s->H, s->W, s->C, type), dst = tw_md_nhwc(n, s->OH, s->OW, s->K, type);
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    int rc = -1;
    r->desc.src = src;
    r->desc.dst = dst;
    if (src == NULL || dst == NULL)
        tw_fail("weight gradient of %d x %d pixels: out of memory", s->H, s->W);
    else if (attr != NULL)
        rc = TW_DNNL(tw_conv_pd(&p->pd, r->g->dev->engine, TW_CONV_BACKWARD_WEIGHTS, &r->desc, attr, r->hint));
    if (rc == 0)
        rc = tw_prim_make(p, r->g->dev, arg, 3);
    if (rc == 0)
        r->desc.weights = tw_prim_md(p, dnnl_query_diff_weights_md);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    tw_md_free(src);
    tw_md_free(dst);
    return rc;
}

/* Sets the number of slices, such that their gradients, in the plain layout, fit SLICES_BYTES. */
static void divide(tw_direct_gradient *g, const tw_conv_shape *s)
{
    const size_t all = (size_t)s->K * (size_t)s->C * (size_t)(s->size * s->size) * sizeof(float), pixel = tw_dtype_size(g->dev->precision);
    const int64_t fit = all > SLICES_BYTES ? 1 : tw_min(MOST_SLICES, (int64_t)(SLICES_BYTES / all));
    g->alone = fit >= LEAST_SLICES || s->C == COLOURS;
    g->each = (int)tw_pieces(s->N, g->alone ? fit : 1);
    g->slices = (int)tw_pieces(s->N, g->each);
    g->last = s->N - (g->slices - 1) * g->each;
    g->x_bytes = (size_t)g->each * (size_t)(s->H * s->W * s->C) * pixel;
    g->y_bytes = (size_t)g->each * (size_t)(s->OH * s->OW * s->K) * pixel;
}

static float *gradients(const tw_direct_gradient *g)
{
    return tw_dev_scratch(g->dev, TW_SCRATCH_GRADIENT, (size_t)g->slices * g->bytes);
}

static int build(tw_direct_gradient *g, recipe *r, tw_const_md plain)
{
    g->lanes = tw_lanes_new(g->dev, g->alone, make, r);
    if (g->lanes == NULL)
        return -1;
    tw_const_md md = tw_prim_md(tw_lanes_prim(g->lanes, 0), dnnl_query_diff_weights_md);
    g->bytes = dnnl_memory_desc_get_size(md);
    return gradients(g) == NULL ? -1 : tw_prim_reorder(&g->to_plain, g->dev, md, plain, true);
}

tw_direct_gradient *tw_direct_gradient_new(tw_dev *d, const tw_conv_shape *s, const tw_conv_desc *desc, tw_const_md plain,
                                           const_dnnl_primitive_desc_t hint)
{
    tw_direct_gradient *g = tw_calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->dev = d;
    divide(g, s);
    if (build(g, &(recipe){g, s, *desc, hint}, plain) == 0)
        return g;
    tw_direct_gradient_free(g);
    return NULL;
}

void tw_direct_gradient_free(tw_direct_gradient *g)
{
    if (g == NULL)
        return;
    tw_lanes_free(g->lanes);
    tw_prim_fini(&g->to_plain);
    free(g);
}

int tw_direct_gradient_add(tw_direct_gradient *g, float *dw, const void *x, const void *dy)
{
    float *sum = gradients(g);
    char *room = tw_lanes_scratch(g->lanes);
    int status = dnnl_success;
    if (sum == NULL || room == NULL)
        return -1;
    const size_t apart = g->bytes / sizeof *sum;
#pragma omp parallel for schedule(static) reduction(max : status) if (g->alone)
    for (int i = 0; i < g->slices; i++) {
        const size_t k = (size_t)i;
        void *data[] = {sum + k * apart, (char *)x + k * g->x_bytes, (char *)dy + k * g->y_bytes};
        const dnnl_status_t st = tw_lanes_run(g->lanes, i == g->slices - 1, data, room);
        status = (int)st > status ? (int)st : status;
    }
    if (tw_dnnl_check((dnnl_status_t)status, "dnnl_primitive_execute(") != 0)
        return -1;
    if (g->slices > 1)
        tw_slices_add(sum, sum + apart, g->slices - 1, apart, apart);
    return tw_prim_run(&g->to_plain, g->dev, (void *[]){sum, dw});
}
