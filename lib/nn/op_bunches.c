/* The last norm where this rank's batch holds several bunches (twist-method.md 1), each with statistics of its own. Rows are view-major, so a
 * bunch is one slice of every view. Only with unified memory. */
#include "nn/op.h"

#include "core/error.h"

#include <string.h>

typedef struct {
    int bunches, views;
    tw_norm norm;      /* of one slice; sums and statistics are set by at() */
    double *slice;     /* sums of a slice, [2C] */
    float *spare;      /* [2C]: takes the running statistics of all bunches but the first; the first one's are kept, as of rank 0 among ranks */
    size_t row;        /* bytes of a row */
} work;

/* keep: per bunch sums f64 [2C], mean f32 [C], rstd f32 [C]; slice; spare */
static size_t each(int C)
{
    return (size_t)C * (2 * sizeof(double) + 2 * sizeof(float));
}

static int open(tw_node *n)
{
    const int B = n->ctx->B, samples = n->ctx->net->config.bunch_samples;
    if (!n->ctx->be->unified)
        return tw_fail("bunches of %d samples in a batch of %d: supported on the CPU only", samples, B);
    if (n->ctx->batch && B % samples != 0)
        return tw_fail("bunches of %d samples: do not divide a batch of %d", samples, B);
    n->keep_bytes = each(n->layer->C) * (size_t)(B / samples + 1);
    return 0;
}

static work begin(const tw_node *n)
{
    const int C = n->layer->C, B = n->ctx->B, samples = n->ctx->net->config.bunch_samples;
    const tw_param *running = &n->ctx->net->param[n->layer->param];
    work w = {.bunches = B / samples, .views = (int)(tw_shape_rows(&n->in) / B)};
    w.slice = (double *)((char *)n->keep + each(C) * (size_t)w.bunches);
    w.spare = (float *)(w.slice + 2 * C);
    w.row = (size_t)C * tw_dtype_size(n->ctx->net->config.precision);
    w.norm = (tw_norm){.rows = samples, .count = (int64_t)samples * w.views, .C = C, .relu = n->layer->relu,
                       .running_mean = running[0].device, .running_var = running[1].device};
    return w;
}

/* Makes w->norm that of bunch b; returns the bunch's sums, zeroed. */
static double *at(work *w, const tw_node *n, int b)
{
    const int C = w->norm.C;
    double *sums = (double *)((char *)n->keep + each(C) * (size_t)b);
    w->norm.mean = (float *)(sums + 2 * C);
    w->norm.rstd = w->norm.mean + C;
    if (b > 0) {
        w->norm.running_mean = w->spare;
        w->norm.running_var = w->spare + C;
    }
    w->norm.sums = w->slice;
    memset(sums, 0, 2 * (size_t)C * sizeof *sums);
    return sums;
}

static size_t offset(const work *w, const tw_node *n, int b, int v)
{
    return ((size_t)v * (size_t)n->ctx->B + (size_t)b * (size_t)w->norm.rows) * w->row;
}

static void add_slice(double *sums, const work *w)
{
    for (int c = 0; c < 2 * w->norm.C; c++)
        sums[c] += w->slice[c];
}

static int forward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    tw_dev *dev = n->ctx->dev;
    work w = begin(n);
    if (!n->ctx->batch) {
        at(&w, n, 0);
        w.norm.rows = tw_shape_rows(&n->in);
        return TW_BACKEND(be, be->norm_running(dev, &w.norm)) == 0 ? TW_BACKEND(be, be->norm_apply(dev, &w.norm, n->y, n->x, NULL)) : -1;
    }
    for (int b = 0; b < w.bunches; b++) {
        double *sums = at(&w, n, b);
        for (int v = 0; v < w.views; v++) {
            if (TW_BACKEND(be, be->norm_sums(dev, &w.norm, (const char *)n->x + offset(&w, n, b, v))) != 0)
                return -1;
            add_slice(sums, &w);
        }
        w.norm.sums = sums;
        if (TW_BACKEND(be, be->norm_statistics(dev, &w.norm)) != 0)
            return -1;
        for (int v = 0; v < w.views; v++) {
            const size_t from = offset(&w, n, b, v);
            if (TW_BACKEND(be, be->norm_apply(dev, &w.norm, (char *)n->y + from, (const char *)n->x + from, NULL)) != 0)
                return -1;
        }
    }
    return 0;
}

static int backward(tw_node *n)
{
    const tw_backend *be = n->ctx->be;
    tw_dev *dev = n->ctx->dev;
    work w = begin(n);
    for (int b = 0; b < w.bunches; b++) {
        double *sums = at(&w, n, b);
        for (int v = 0; v < w.views; v++) {
            const size_t from = offset(&w, n, b, v);
            if (TW_BACKEND(be, be->norm_backward_sums(dev, &w.norm, (char *)n->dy + from, NULL, (const char *)n->y + from,
                                                      (const char *)n->x + from)) != 0)
                return -1;
            add_slice(sums, &w);
        }
        w.norm.sums = sums;
        for (int v = 0; v < w.views; v++) {
            const size_t from = offset(&w, n, b, v);
            if (TW_BACKEND(be, be->norm_backward_apply(dev, &w.norm, (char *)n->dx + from, (const char *)n->dy + from,
                                                       (const char *)n->x + from)) != 0)
                return -1;
        }
    }
    return 0;
}

static void count(tw_node *n)
{
    ++*(int64_t *)n->ctx->net->param[n->layer->param + 2].value;
}

const tw_op tw_op_bunches = {.name = "norm of bunches", .reads_x = true, .open = open, .count = count, .forward = forward, .backward = backward};
