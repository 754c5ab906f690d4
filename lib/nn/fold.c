#include "nn/graph.h"

#include "core/mem.h"
#include "nn/op.h"

#include <stdlib.h>

/* Layer i is a convolution: the norm that is the only user of its value; or -1. */
static int norm_of(const tw_graph *g, int i)
{
    int user = -1;
    for (int j = i + 1; j < g->n; j++) {
        const bool in = g->layer[j].in == i + 1, shortcut = g->layer[j].shortcut == i + 1;
        if (shortcut || (in && (user >= 0 || !tw_is_norm(&g->layer[j]))))
            return -1;
        if (in)
            user = j;
    }
    return user;
}

/* The pooling that is left once the norm of a fused norm and max pooling has been folded. */
static int pool(tw_graph *f, const tw_layer *l, int in)
{
    return tw_graph_add(f, (tw_layer){.op = &tw_op_maxpool, .in = in, .shortcut = -1, .param = -1, .C = l->C, .K = l->K, .size = l->size,
                                      .stride = l->stride, .pad = l->pad});
}

int tw_graph_fold(tw_graph *f, const tw_graph *g)
{
    *f = (tw_graph){0};
    int *value = tw_calloc((size_t)g->n + 1, sizeof *value); /* number in f of each value of g */
    int *conv = tw_calloc((size_t)g->n, sizeof *conv);       /* per norm: the convolution it is folded into, + 1; 0: none */
    for (int i = 0; value != NULL && conv != NULL && i < g->n; i++) {
        tw_layer l = g->layer[i];
        const int norm = l.op == &tw_op_conv ? norm_of(g, i) : -1;
        if (norm >= 0) {
            conv[norm] = i + 1;
            continue;
        }
        if (conv[i] > 0) {
            l = g->layer[conv[i] - 1];
            l.op = &tw_op_conv_folded;
            l.norm = g->layer[i].param;
            l.shortcut = g->layer[i].shortcut;
            l.relu = g->layer[i].relu;
            l.affine = g->layer[i].affine;
        }
        l.in = value[l.in];
        l.shortcut = l.shortcut < 0 ? -1 : value[l.shortcut];
        value[i + 1] = tw_graph_add(f, l);
        if (conv[i] > 0 && g->layer[i].op == &tw_op_norm_max)
            value[i + 1] = pool(f, &g->layer[i], value[i + 1]);
    }
    const bool failed = value == NULL || conv == NULL || f->failed;
    free(value);
    free(conv);
    if (failed)
        tw_graph_fini(f);
    return failed ? -1 : 0;
}
