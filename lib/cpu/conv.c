#include "cpu/conv.h"

#include "core/mem.h"
#include "cpu/ops.h"
#include "nn/formula.h"

#include <stdlib.h>

struct tw_conv {
    const tw_conv_way *how;
    void *way;
    int K;
    float *scale, *shift; /* of the folded norm, [K] each; or NULL */
};

static const tw_conv_way *way_of(const tw_dev *d, const tw_conv_shape *s)
{
    static const tw_conv_way *const all[] = {&tw_conv_dense, &tw_conv_winograd, &tw_conv_winograd16, &tw_conv_pointwise, &tw_conv_strided,
                                            &tw_conv_direct};
    int i = 0;
    while (all[i]->suits == NULL || !all[i]->suits(d, s))
        i++;
    return all[i];
}

tw_conv *tw_cpu_conv_new(tw_dev *d, const tw_conv_shape *s)
{
    tw_conv *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->how = way_of(d, s);
    c->K = s->K;
    if (s->folded && (c->scale = tw_alloc64(2 * (size_t)s->K * sizeof *c->scale)) == NULL)
        goto err;
    c->shift = s->folded ? c->scale + s->K : NULL;
    c->way = c->how->open(d, s);
    if (c->way != NULL)
        return c;
err:
    free(c->scale);
    free(c);
    return NULL;
}

void tw_cpu_conv_free(tw_conv *c)
{
    if (c == NULL)
        return;
    c->how->close(c->way);
    free(c->scale);
    free(c);
}

size_t tw_cpu_conv_bytes(const tw_conv *c)
{
    return c->how->bytes(c->way);
}

int tw_cpu_conv_weights(tw_conv *c, const float *w)
{
    return c->how->weights(c->way, w, NULL);
}

int tw_cpu_conv_forward(tw_conv *c, void *y, const void *x)
{
    return c->how->forward(c->way, y, x, NULL, NULL);
}

int tw_cpu_conv_fold(tw_conv *c, const float *w, const tw_norm *n)
{
    for (int k = 0; k < c->K; k++) {
        c->scale[k] = tw_norm_scale(n->gamma != NULL ? n->gamma[k] : 1, n->running_var[k]);
        c->shift[k] = tw_norm_shift(n->beta != NULL ? n->beta[k] : 0, n->running_mean[k], c->scale[k]);
    }
    return c->how->weights(c->way, w, c->scale);
}

int tw_cpu_conv_folded(tw_conv *c, void *y, const void *x, const void *shortcut)
{
    return c->how->forward(c->way, y, x, c->shift, shortcut);
}

int tw_cpu_conv_backward_data(tw_conv *c, void *dx, const void *dy)
{
    return c->how->backward_data(c->way, dx, dy);
}

int tw_cpu_conv_norms(tw_dev *d, const tw_conv_shape *s)
{
    const tw_conv_way *how = way_of(d, s);
    return how->norms != NULL ? how->norms(s) : 0;
}

int tw_cpu_conv_forward_norms(tw_conv *c, void *y, void *x, const tw_conv_norms *n)
{
    return c->how->forward_norms(c->way, y, x, n);
}

int tw_cpu_conv_backward_norms(tw_conv *c, void *dx, void *dy, const tw_conv_norms *n)
{
    return c->how->backward_norms(c->way, dx, dy, n);
}

int tw_cpu_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy)
{
    return c->how->backward_weights(c->way, dw, x, dy);
}
