/* The projection head (twist-method.md 1): Linear - norm - act - Dropout - Linear - norm - act - Linear - BN without affine. */
#include "core/error.h"
#include "nn/model.h"
#include "nn/op.h"

#include <string.h>

typedef enum { BN, LN, NONE } proj_norm;

/* What the functions that add a head's layers have in common. */
typedef struct {
    tw_net *net;
    proj_norm norm;
    bool gelu, truncated;
} builder;

static const char *name_of(char text[64], const char *part)
{
    static const char head[] = "projection_heads.";
    memcpy(text, head, sizeof head);
    return strcat(text, part);
}

static int add_linear(const builder *b, const char *part, int in, int C, int K)
{
    char text[64];
    const int param = tw_declare_linear(b->net, name_of(text, part), C, K, b->truncated);
    return tw_graph_linear(&b->net->head, in, param, C, K);
}

/* Norm and activation; a ReLU is fused with a BatchNorm, otherwise a layer of its own. */
static int add_norm(const builder *b, const char *part, int in, int C)
{
    char text[64];
    tw_graph *g = &b->net->head;
    const char *name = name_of(text, part);
    const tw_op *act = b->gelu ? &tw_op_gelu : &tw_op_relu;
    if (b->norm == BN) {
        const int x = tw_graph_norm(g, in, tw_declare_norm(b->net, name, C, true), C, -1, !b->gelu);
        return b->gelu ? tw_graph_plain(g, act, x, C) : x;
    }
    int x = in;
    if (b->norm == LN)
        x = tw_graph_layer_norm(g, x, tw_declare_layer_norm(b->net, name, C), C, 1e-6);
    return tw_graph_plain(g, act, x, C);
}

static int choice(int *v, const char *what, const char *text, const char *const *names)
{
    for (*v = 0; names[*v] != NULL; ++*v)
        if (strcmp(text != NULL ? text : names[0], names[*v]) == 0)
            return 0;
    return tw_fail("%s: unknown %s", text, what);
}

int tw_build_head(tw_net *net, const tw_net_config *c)
{
    static const char *const acts[] = {"relu", "gelu", NULL}, *const norms[] = {"bn", "ln", "none", NULL};
    static const char *const last[] = {"bn", "syncbn", "identity", NULL};
    int act, norm, lbn;
    if (choice(&act, "activation", c->act, acts) != 0 || choice(&norm, "norm of the head", c->proj_norm, norms) != 0 ||
        choice(&lbn, "last norm", c->lbn_type, last) != 0)
        return -1;
    const int H = c->hid_dim, K = c->dim;
    if (H < 1 || K < 1 || H > 1 << 20 || K > 1 << 20)
        return tw_fail("head of %d and %d units: want 1 to %d", H, K, 1 << 20);
    if (!(c->drop >= 0 && c->drop < 1))
        return tw_fail("dropout %g: want 0 or more and less than 1", c->drop);
    const builder b = {net, (proj_norm)norm, act == 1, c->proj_trunc_init || tw_vit_find(c->backbone) != NULL};
    tw_graph *g = &net->head;
    int x = add_linear(&b, "projection_head.0", 0, net->feature_dim, H);
    x = add_norm(&b, "projection_head.1", x, H);
    if (c->drop > 0)
        x = tw_graph_add(g, (tw_layer){.op = &tw_op_dropout, .in = x, .shortcut = -1, .param = -1, .C = H, .K = H,
                                       .drop = c->drop});
    x = add_linear(&b, "projection_head.4", x, H, H);
    x = add_norm(&b, "projection_head.5", x, H);
    x = add_linear(&b, "last_linear", x, H, K);
    net->last_norm = lbn != 2;
    if (net->last_norm) {
        const int param = tw_declare_norm(net, "projection_heads.norm", K, false);
        const tw_op *op = c->bunch_samples > 0 ? &tw_op_bunches : &tw_op_norm;
        tw_graph_add(g, (tw_layer){.op = op, .in = x, .shortcut = -1, .param = param, .C = K, .K = K});
    }
    return g->failed || net->failed ? -1 : 0;
}

/* Fine-tuning's classifier on the features (twist-method.md 6): one linear layer. */
int tw_build_classifier(tw_net *net, int classes)
{
    if (classes < 1 || classes > 1 << 20)
        return tw_fail("%d classes: want 1 to %d", classes, 1 << 20);
    const int param = tw_declare_classifier(net, "fc", net->feature_dim, classes);
    tw_graph_linear(&net->head, 0, param, net->feature_dim, classes);
    return net->head.failed || net->failed ? -1 : 0;
}
