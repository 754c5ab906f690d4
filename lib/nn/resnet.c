/* ResNets (He et al. 2015) as torchvision builds them: version 1.5, the stride in the bottleneck's 3x3. */
#include "nn/backbones.h"
#include "nn/model.h"
#include "nn/op.h"

#include <stdio.h>

/* A tensor's full name: "backbone.layer1.0.conv1". Borrowed until the next call with the same text. */
static const char *in_block(char text[64], const char *block, const char *part)
{
    snprintf(text, 64, "%s.%s", block, part);
    return text;
}

typedef struct {
    int conv, norm; /* numbers of their first tensors */
} pair;

static pair declare_pair(tw_net *net, const char *block, const char *conv, const char *norm, int C, int K, int size)
{
    char text[64];
    pair p;
    p.conv = tw_declare_conv(net, in_block(text, block, conv), C, K, size);
    p.norm = tw_declare_norm(net, in_block(text, block, norm), K, true);
    return p;
}

static int add_pair(tw_graph *g, pair p, int in, int C, int K, int size, int stride, int shortcut, bool relu)
{
    return tw_graph_norm(g, tw_graph_conv(g, in, p.conv, C, K, size, stride), p.norm, K, shortcut, relu);
}

/* One residual block from value `in` of C channels; width: of its inner convolutions. The tensors are declared in
 * torchvision's order (downsample last), the layers added in the order of use (downsample before the sum). */
static int add_block(tw_net *net, const char *name, bool bottleneck, int in, int C, int width, int stride)
{
    tw_graph *g = &net->backbone;
    const int K = bottleneck ? 4 * width : width;
    const bool project = stride != 1 || C != K;
    pair a, b, c = {0, 0}, down = {0, 0};
    a = declare_pair(net, name, "conv1", "bn1", C, width, bottleneck ? 1 : 3);
    b = declare_pair(net, name, "conv2", "bn2", width, width, 3);
    if (bottleneck)
        c = declare_pair(net, name, "conv3", "bn3", width, K, 1);
    if (project)
        down = declare_pair(net, name, "downsample.0", "downsample.1", C, K, 1);

    const int shortcut = project ? add_pair(g, down, in, C, K, 1, stride, -1, false) : in;
    if (!bottleneck) {
        const int x = add_pair(g, a, in, C, width, 3, stride, -1, true);
        return add_pair(g, b, x, width, width, 3, 1, shortcut, true);
    }
    int x = add_pair(g, a, in, C, width, 1, 1, -1, true);
    x = add_pair(g, b, x, width, width, 3, stride, -1, true);
    return add_pair(g, c, x, width, K, 1, 1, shortcut, true);
}

int tw_build_resnet(tw_net *net, const tw_resnet_kind *k, bool small_stem)
{
    tw_graph *g = &net->backbone;
    const int size = small_stem ? 3 : 7;
    int C = 64 * k->widen;
    const pair stem = declare_pair(net, "backbone", "conv1", "bn1", 3, C, size);
    const int first = tw_graph_conv(g, 0, stem.conv, 3, C, size, small_stem ? 1 : 2);
    int x = small_stem ? tw_graph_norm(g, first, stem.norm, C, -1, true) : tw_graph_norm_max(g, first, stem.norm, C);
    for (int stage = 0; stage < 4; stage++) {
        const int width = 64 * k->widen << stage;
        for (int i = 0; i < k->blocks[stage]; i++) {
            char block[48];
            snprintf(block, sizeof block, "backbone.layer%d.%d", stage + 1, i);
            x = add_block(net, block, k->bottleneck, x, C, width, stage > 0 && i == 0 ? 2 : 1);
            C = k->bottleneck ? 4 * width : width;
        }
    }
    tw_graph_plain(g, &tw_op_mean, x, C);
    net->feature_dim = C;
    return g->failed || net->failed ? -1 : 0;
}
