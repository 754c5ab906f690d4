#include "cpu/direct_gradient.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/slices.h"

#include <omp.h>
#include <stdlib.h>

enum { MOST_SLICES = 64, LEAST_SLICES = 16, SLICES_BYTES = 32 << 20 };

/* A thread's own. */
typedef struct {
    dnnl_stream_t stream;
    tw_prim whole, rest; /* of a slice, and of what is left for the last one */
} lane;

struct tw_direct_gradient {
    tw_dev *dev;
    bool alone;             /* a slice is a thread's; else there is one slice, of all threads */
    int each, slices, last; /* pictures of a slice; of the last one */
    size_t x_bytes, y_bytes; /* of a slice */
    size_t bytes, scratch;  /* of a slice's gradient; of a lane's scratch memory */
    lane *lane;
    tw_prim to_plain;
};

/* A primitive for n pictures, that one thread carries out where it is to. */
static int make(tw_prim *p, const tw_direct_gradient *g, const tw_conv_shape *s, const tw_conv_desc *convolution, int n,
                const_dnnl_primitive_desc_t hint)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                      {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0}};
    const dnnl_data_type_t type = tw_dnnl_type(g->dev->precision);
    const int threads = omp_get_max_threads();
    tw_md src = tw_md_nhwc(n, s->H, s->W, s->C, type), dst = tw_md_nhwc(n, s->OH, s->OW, s->K, type);
    tw_conv_desc desc = *convolution;
    desc.src = src;
    desc.dst = dst;
    dnnl_primitive_attr_t attr = tw_prim_attr(false);
    int rc = -1;
    if (g->alone)
        omp_set_num_threads(1);
    if (src == NULL || dst == NULL)
        tw_fail("weight gradient of %d x %d pixels: out of memory", s->H, s->W);
    else if (attr != NULL)
        rc = TW_DNNL(tw_conv_pd(&p->pd, g->dev->engine, TW_CONV_BACKWARD_WEIGHTS, &desc, attr, hint));
    if (rc == 0)
        rc = tw_prim_make(p, g->dev, arg, 3);
    omp_set_num_threads(threads);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    tw_md_free(src);
    tw_md_free(dst);
    return rc;
}

/* The layout that the first primitive has chosen is that of all. */
static int open_lane(tw_direct_gradient *g, lane *l, const tw_conv_shape *s, const tw_conv_desc *desc, const_dnnl_primitive_desc_t hint)
{
    tw_conv_desc as = *desc;
    if (l != g->lane)
        as.weights = tw_prim_md(&g->lane->whole, dnnl_query_diff_weights_md);
    if (TW_DNNL(dnnl_stream_create(&l->stream, g->dev->engine, dnnl_stream_default_flags)) != 0 ||
        make(&l->whole, g, s, &as, g->each, hint) != 0)
        return -1;
    as.weights = tw_prim_md(&g->lane->whole, dnnl_query_diff_weights_md);
    return g->last == g->each ? 0 : make(&l->rest, g, s, &as, g->last, hint);
}

/* How many slices: so that their gradients, in the plain layout, fit the bytes. */
static void divide(tw_direct_gradient *g, const tw_conv_shape *s)
{
    const size_t all = (size_t)s->K * (size_t)s->C * (size_t)(s->size * s->size) * sizeof(float), pixel = tw_dtype_size(g->dev->precision);
    const int64_t fit = tw_min(MOST_SLICES, (int64_t)(SLICES_BYTES / all));
    g->alone = fit >= LEAST_SLICES;
    g->each = (int)tw_pieces(s->N, g->alone ? fit : 1);
    g->slices = (int)tw_pieces(s->N, g->each);
    g->last = s->N - (g->slices - 1) * g->each;
    g->x_bytes = (size_t)g->each * (size_t)(s->H * s->W * s->C) * pixel;
    g->y_bytes = (size_t)g->each * (size_t)(s->OH * s->OW * s->K) * pixel;
}

/* Scratch memory in use: [slices] gradients, [threads] of the primitives. */
static float *gradients(const tw_direct_gradient *g)
{
    return tw_dev_scratch(g->dev, TW_SCRATCH_GRADIENT, (size_t)g->slices * g->bytes);
}

static int lanes(const tw_direct_gradient *g)
{
    return g->alone ? g->dev->threads : 1;
}

static char *scratch(const tw_direct_gradient *g)
{
    return tw_dev_scratch(g->dev, TW_SCRATCH_PRIMITIVE, (size_t)lanes(g) * g->scratch);
}

static int build(tw_direct_gradient *g, const tw_conv_shape *s, const tw_conv_desc *desc, tw_const_md plain, const_dnnl_primitive_desc_t hint)
{
    for (int i = 0; i < lanes(g); i++)
        if (open_lane(g, &g->lane[i], s, desc, hint) != 0)
            return -1;
    tw_const_md md = tw_prim_md(&g->lane->whole, dnnl_query_diff_weights_md);
    g->bytes = dnnl_memory_desc_get_size(md);
    g->scratch = g->lane->whole.scratch > g->lane->rest.scratch ? g->lane->whole.scratch : g->lane->rest.scratch;
    g->scratch = (g->scratch + 63) / 64 * 64;
    if (gradients(g) == NULL || scratch(g) == NULL)
        return -1;
    return tw_prim_reorder(&g->to_plain, g->dev, md, plain, true);
}

tw_direct_gradient *tw_direct_gradient_new(tw_dev *d, const tw_conv_shape *s, const tw_conv_desc *desc, tw_const_md plain,
                                           const_dnnl_primitive_desc_t hint)
{
    tw_direct_gradient *g = tw_calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->dev = d;
    divide(g, s);
    g->lane = tw_calloc((size_t)lanes(g), sizeof *g->lane);
    if (g->lane != NULL && build(g, s, desc, plain, hint) == 0)
        return g;
    tw_direct_gradient_free(g);
    return NULL;
}

void tw_direct_gradient_free(tw_direct_gradient *g)
{
    if (g == NULL)
        return;
    for (int i = 0; g->lane != NULL && i < lanes(g); i++) {
        tw_prim_fini(&g->lane[i].whole);
        tw_prim_fini(&g->lane[i].rest);
        if (g->lane[i].stream != NULL)
            dnnl_stream_destroy(g->lane[i].stream);
    }
    tw_prim_fini(&g->to_plain);
    free(g->lane);
    free(g);
}

int tw_direct_gradient_add(tw_direct_gradient *g, float *dw, const void *x, const void *dy)
{
    float *sum = gradients(g);
    char *room = scratch(g);
    int status = dnnl_success;
    if (sum == NULL || room == NULL)
        return -1;
    const size_t apart = g->bytes / sizeof *sum;
#pragma omp parallel for schedule(static) reduction(max : status) if (g->alone)
    for (int i = 0; i < g->slices; i++) {
        lane *l = &g->lane[omp_get_thread_num()];
        const size_t k = (size_t)i;
        tw_prim *p = i == g->slices - 1 && g->last < g->each ? &l->rest : &l->whole;
        void *data[] = {sum + k * apart, (char *)x + k * g->x_bytes, (char *)dy + k * g->y_bytes};
        const dnnl_status_t st = tw_prim_execute(p, l->stream, data, room + (size_t)omp_get_thread_num() * g->scratch);
        status = (int)st > status ? (int)st : status;
    }
    if (tw_dnnl_check((dnnl_status_t)status, "dnnl_primitive_execute(") != 0)
        return -1;
    if (g->slices > 1)
        tw_slices_add(sum, sum + apart, g->slices - 1, apart, apart);
    return tw_prim_run(&g->to_plain, g->dev, (void *[]){sum, dw});
}
