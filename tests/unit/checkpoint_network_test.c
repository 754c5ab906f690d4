/* Goal: a network written to a file is found again in it, by metadata and by shapes, and loaded to the bit, under every naming; a
 * checkpoint of another network, missing tensors, wrong shapes and NaN are refused by name. */
#include "checkpoint/network.h"
#include "core/mem.h"
#include "test.h"

#include <unistd.h>

static char folder[] = "/tmp/tw-network-XXXXXX";
static char path[64];

static tw_net_config config(const char *backbone, bool small_stem, bool head, uint64_t seed)
{ /* seed 0: no weights */
    return (tw_net_config){.backbone = backbone, .small_stem = small_stem, .head = head, .hid_dim = 24, .dim = 10, .act = "relu",
                           .precision = TW_F32, .seed = seed, .blank = seed == 0, .threads = 1};
}

static tw_net *new_net(tw_net_config c)
{
    tw_net *net = tw_net_new("cpu", &c);
    if (net == NULL)
        printf("%s\n", tw_error());
    return net;
}

static bool same_weights(tw_net *a, tw_net *b, const char *part)
{
    bool same = true;
    for (int i = 0; i < tw_net_params(b); i++) {
        const tw_param *p = tw_net_param(a, i), *q = tw_net_param(b, i);
        if (strncmp(q->name, part, strlen(part)) == 0)
            same = same && memcmp(p->value, q->value, p->n * tw_dtype_size(p->dtype)) == 0;
    }
    return same;
}

static void full_round_trip(void)
{
    const tw_net_config c = config("resnet18", true, true, 1);
    tw_net *net = new_net(c), *other = new_net(config("resnet18", true, true, 0));
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net), sizeof *t);
    tw_network_description d;
    for (int i = 0; i < tw_net_params(net); i++)
        if (tw_net_param(net, i)->dtype == TW_I64)
            *(int64_t *)tw_net_param(net, i)->value = 7;
    const int n = tw_network_tensors(t, net, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD);
    CHECK(n == tw_net_params(net) && strcmp(t[0].name, "backbone.conv1.weight") == 0);
    tw_net_config said = c;
    said.act = "gelu";
    said.drop = 0.1;
    tw_network_describe(&d, &said);
    CHECK(tw_safetensors_write(path, t, n, (const char *const(*)[2])d.pair, d.n) == 0);
    tw_checkpoint *f = tw_checkpoint_open(path);
    tw_net_config found = {.threads = 5};
    CHECK(f != NULL && tw_network_config(&found, f) == 0);
    CHECK(strcmp(found.backbone, "resnet18") == 0 && found.small_stem && found.head && found.hid_dim == 24 && found.dim == 10 &&
          strcmp(found.act, "gelu") == 0 && found.drop == 0.1 && found.threads == 5);
    CHECK(!same_weights(net, other, ""));
    CHECK(tw_network_load(other, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) == 0);
    CHECK(same_weights(net, other, ""));
    /* the backbone alone, into a net with another head */
    tw_net_config small = config("resnet18", true, true, 0);
    small.dim = 11;
    tw_net *third = new_net(small);
    CHECK(tw_network_load(third, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) != 0);
    CHECK(strstr(tw_error(), "a checkpoint of another network: resnet18 (small stem) with a head of 24 and 10 units, where "
                             "resnet18 (small stem) with a head of 24 and 11 units is wanted") != NULL);
    CHECK(tw_network_load(third, f, TW_NETWORK_BACKBONE) == 0 && same_weights(net, third, "backbone."));
    tw_checkpoint_close(f);
    const char *const official[][2] = {{"args.act", "gelu"}}; /* as the options of an official checkpoint are read */
    CHECK(tw_safetensors_write(path, t, n, official, 1) == 0);
    f = tw_checkpoint_open(path);
    CHECK(f != NULL && tw_network_config(&found, f) == 0 && strcmp(found.act, "gelu") == 0);
    tw_checkpoint_close(f);
    tw_net_free(net);
    tw_net_free(other);
    tw_net_free(third);
    free(t);
}

/* torchvision's names, its classifier with them, behind a prefix or not; elements of other types. */
static void names_and_types(tw_net *net, tw_net *other, const char *prefix)
{
    enum { EXTRA = 2 };
    static const float fc[10 * 512];
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net) + EXTRA, sizeof *t);
    char (*name)[96] = tw_calloc((size_t)tw_net_params(net), sizeof *name);
    const int n = tw_network_tensors(t, net, TW_NETWORK_BACKBONE);
    CHECK(strcmp(t[0].name, "conv1.weight") == 0);
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (t[i].tensor.dtype == TW_I64 && m > 6)
            continue; /* num_batches_tracked is optional */
        snprintf(name[m], sizeof name[m], "%s%s", prefix, t[i].name);
        t[m] = t[i];
        t[m].name = name[m];
        m++;
    }
    /* bn1.weight (64 ones) as f16, its bias as bf16, the running mean as f64 */
    uint16_t one[64], zero[64] = {0};
    double mean[64] = {0};
    for (int i = 0; i < 64; i++)
        one[i] = 0x3c00;
    mean[3] = 0.1;
    t[1].tensor.dtype = TW_F16, t[1].tensor.data = one;
    t[2].tensor.dtype = TW_BF16, t[2].tensor.data = zero;
    t[3].tensor.dtype = TW_F64, t[3].tensor.data = mean;
    t[5].tensor.dtype = TW_I32; /* num_batches_tracked may be of any type */
    t[m++] = (tw_named_tensor){"fc.weight", {TW_F32, 2, {10, 512}, fc}};
    t[m++] = (tw_named_tensor){"fc.bias", {TW_F32, 1, {10}, fc}};
    CHECK(tw_safetensors_write(path, t, m, NULL, 0) == 0);
    tw_checkpoint *f = tw_checkpoint_open(path);
    tw_net_config found = {0};
    CHECK(f != NULL && tw_network_config(&found, f) == 0);
    CHECK(strcmp(found.backbone, "resnet18") == 0 && !found.small_stem && !found.head && strcmp(found.act, "relu") == 0);
    memset(tw_net_param(other, 0)->value, 0, tw_net_param(other, 0)->n * sizeof(float));
    CHECK(tw_network_load(other, f, TW_NETWORK_BACKBONE) == 0);
    CHECK(((const float *)tw_net_param(other, 3)->value)[3] == 0.1f);
    ((float *)tw_net_param(net, 3)->value)[3] = 0.1f;
    CHECK(same_weights(net, other, ""));
    CHECK(tw_network_load(other, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) != 0);
    CHECK(strstr(tw_error(), "a backbone without a head") != NULL);
    tw_checkpoint_close(f);
    free(t);
    free(name);
}

/* The backbone with one tensor more: of a layer that the net lacks it is refused, whatever the prefix; beside the layers it is left alone. */
static void one_more(tw_net *net, const char *prefix, const char *more, bool refused)
{
    static const float gamma[1];
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net) + 1, sizeof *t);
    char (*name)[96] = tw_calloc((size_t)tw_net_params(net) + 1, sizeof *name), message[160];
    const int n = tw_network_tensors(t, net, TW_NETWORK_BACKBONE);
    t[n] = (tw_named_tensor){more, {TW_F32, 1, {1}, gamma}};
    for (int i = 0; i <= n; i++) {
        snprintf(name[i], sizeof name[i], "%s%s", prefix, t[i].name);
        t[i].name = name[i];
    }
    CHECK(tw_safetensors_write(path, t, n + 1, NULL, 0) == 0);
    tw_checkpoint *f = tw_checkpoint_open(path);
    const int rc = f != NULL ? tw_network_load(net, f, TW_NETWORK_BACKBONE) : 1;
    snprintf(message, sizeof message, "%s: a checkpoint of another network: ", path);
    CHECK(rc == (refused ? -1 : 0));
    CHECK(!refused || (strstr(tw_error(), message) == tw_error() && strstr(tw_error(), name[n]) != NULL));
    tw_checkpoint_close(f);
    free(t);
    free(name);
}

/* Names that timm, torchvision, DINO and MAE give: of layers, and of what lies beside them. */
static void other_layers(tw_net *resnet)
{
    static const char *const of_resnet[] = {"layer1.0.se.fc1.weight", "layer4.1.bn3.bias", "conv1.bias", "norm.weight", "blocks.0.norm1.weight"};
    static const char *const of_vit[] = {"blocks.3.ls1.gamma", "blocks.0.attn.q_norm.weight", "patch_embed.norm.weight", "reg_token"};
    static const char *const beside[] = {"fc.0.weight", "head.weight", "mask_token", "decoder_pos_embed", "optimizer.layer1.0.se.step",
                                         "layer1.0.bn9.num_batches_tracked"};
    const tw_net_config c = {.backbone = "vit_t", .patch_size = 8, .pos_grid = 5, .precision = TW_F32, .seed = 2, .threads = 1};
    tw_net *vit = new_net(c);
    for (size_t i = 0; i < sizeof of_resnet / sizeof *of_resnet; i++)
        one_more(resnet, i % 2 == 0 ? "" : "module.backbone.", of_resnet[i], true);
    for (size_t i = 0; i < sizeof of_vit / sizeof *of_vit; i++)
        one_more(vit, i % 2 == 0 ? "" : "module.backbone.", of_vit[i], true);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        one_more(i % 2 == 0 ? resnet : vit, i % 3 == 0 ? "" : "model.", beside[i], false);
    tw_net_free(vit);
}

/* Files of few and small tensors: enough to be taken for a network. */
typedef struct {
    tw_named_tensor t[64];
    char name[64][96];
    int n;
} sketch;

static const float numbers[192 * 3 * 16 * 16];

static void add(sketch *s, const char *name, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    snprintf(s->name[s->n], sizeof s->name[0], "%s", name);
    s->t[s->n] = (tw_named_tensor){s->name[s->n], {TW_F32, d1 != 0 ? 4 : 1, {d0, d1, d2, d3}, numbers}};
    s->n++;
}

static void add_blocks(sketch *s, const char *part, const int *blocks)
{
    char name[64];
    for (int layer = 1; layer <= 4; layer++)
        for (int i = 0; i < blocks[layer - 1]; i++) {
            snprintf(name, sizeof name, "backbone.layer%d.%d.%s", layer, i, part);
            add(s, name, 1, 0, 0, 0);
        }
}

static tw_checkpoint *open_sketch(const sketch *s, const char *key, const char *value, bool ours)
{
    const char *const meta[][2] = {{key, value}, {"small_stem", "0"}};
    CHECK(tw_safetensors_write(path, s->t, s->n, meta, (key != NULL) + (ours ? 1 : 0)) == 0);
    return tw_checkpoint_open(path);
}

static bool says(const char *text)
{
    const bool good = strstr(tw_error(), path) == tw_error() && strstr(tw_error(), text) != NULL;
    if (!good)
        printf("wanted '%s'\n", text);
    return good;
}

static void load_fails(tw_net *net, const sketch *s, const char *message)
{
    tw_checkpoint *f = open_sketch(s, NULL, NULL, false);
    CHECK(f != NULL && tw_network_load(net, f, TW_NETWORK_BACKBONE) != 0 && says(message));
    tw_checkpoint_close(f);
}

static void config_fails(const sketch *s, const char *key, const char *value, const char *message)
{
    tw_net_config c = {0};
    tw_checkpoint *f = open_sketch(s, key, value, key != NULL);
    CHECK(f != NULL && tw_network_config(&c, f) != 0 && says(message));
    tw_checkpoint_close(f);
}

/* Metadata of other trainers, which say nothing of the tensors. */
static void not_ours(const sketch *s, const char *key, const char *value)
{
    tw_net_config c = {0};
    tw_checkpoint *f = open_sketch(s, key, value, false);
    CHECK(f != NULL && tw_network_config(&c, f) == 0 && strcmp(c.backbone, "resnet18") == 0 && strcmp(c.act, "relu") == 0 && c.drop == 0);
    tw_checkpoint_close(f);
}

/* The same under a prefix. */
static void accepted(const sketch *s, const char *prefix, const char *backbone)
{
    sketch named = *s;
    tw_net_config c = {0};
    for (int i = 0; i < s->n; i++) {
        snprintf(named.name[i], sizeof named.name[0], "%s%s", prefix, s->name[i] + strlen("backbone."));
        named.t[i].name = named.name[i];
    }
    tw_checkpoint *f = open_sketch(&named, NULL, NULL, false);
    CHECK(f != NULL && tw_network_config(&c, f) == 0 && strcmp(c.backbone, backbone) == 0);
    tw_checkpoint_close(f);
}

/* Of ResNet-50's number of blocks and width, but other networks: wide, grouped, with squeeze and excitation. */
static void odd_blocks(void)
{
    static const int r50[] = {3, 4, 6, 3};
    static const char shape[] = "a ResNet of 3, 4, 6, 3 bottleneck blocks, 64 channels wide";
    char message[192];
    sketch s = {.n = 0};
    add(&s, "backbone.conv1.weight", 64, 3, 7, 7);
    add_blocks(&s, "conv3.weight", r50);
    add(&s, "backbone.layer1.0.conv2.weight", 64, 64, 3, 3);
    add(&s, "backbone.layer1.0.downsample.1.bias", 1, 0, 0, 0);
    accepted(&s, "", "resnet50");
    tw_tensor *inner = &s.t[s.n - 2].tensor;
    inner->dim[0] = inner->dim[1] = 128;
    snprintf(message, sizeof message, "%s, 128 in the first block, which this version cannot run", shape);
    config_fails(&s, NULL, NULL, message);
    inner->dim[1] = 4;
    snprintf(message, sizeof message, "%s, 128 in the first block, convolutions in 32 groups, which", shape);
    config_fails(&s, NULL, NULL, message);
    inner->dim[0] = inner->dim[1] = 64;
    add(&s, "backbone.layer1.0.se.fc1.weight", 1, 0, 0, 0);
    snprintf(message, sizeof message, "%s, with layer1.0.se.fc1.weight, which", shape);
    config_fails(&s, NULL, NULL, message);
}

/* Vision transformers of the right size with other tokens. */
static void odd_tokens(void)
{
    static const struct {
        const char *more;
        int64_t positions, patch;
        const char *message;
    } cases[] = {
        {"dist_token", 198, 16, ", with a dist_token, with 198 positions, which this version cannot run"},
        {"dist_token", 197, 16, ", with a dist_token, which this version"},
        {"reg_token", 196, 16, ", with 196 positions, which this version"},
        {"reg_token", 197, 8, ", patches that are not square, which this version"},
        {NULL, 196, 16, ", without a cls_token, with 196 positions, which this version"},
        {NULL, 0, 16, ", without a cls_token, without a pos_embed, which this version"},
    };
    char name[32], message[192];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        sketch s = {.n = 0};
        add(&s, "patch_embed.proj.weight", 192, 3, 16, 0);
        s.t[0].tensor.dim[3] = cases[k].patch;
        for (int i = 0; i < 12; i++) {
            snprintf(name, sizeof name, "blocks.%d.norm1.weight", i);
            add(&s, name, 1, 0, 0, 0);
        }
        if (cases[k].positions > 0) {
            add(&s, "pos_embed", 1, 0, 0, 0);
            s.t[s.n - 1].tensor = (tw_tensor){TW_F32, 3, {1, cases[k].positions, 1}, numbers};
        }
        if (cases[k].more != NULL) {
            add(&s, "cls_token", 1, 0, 0, 0);
            add(&s, cases[k].more, 1, 0, 0, 0);
        }
        snprintf(message, sizeof message, "a vision transformer of 12 blocks, 192 channels wide%s", cases[k].message);
        config_fails(&s, NULL, NULL, message);
    }
}

static void refusals(tw_net *net)
{
    static const int r18[] = {2, 2, 2, 2}, r34[] = {3, 4, 6, 3}, r200[] = {3, 3, 3, 3};
    sketch s = {.n = 0}, other = {.n = 0}, deep = {.n = 0}, vit = {.n = 0}, none = {.n = 0}, wide = {.n = 0};
    add(&s, "backbone.conv1.weight", 64, 3, 7, 7);
    add_blocks(&s, "conv1.weight", r18);
    load_fails(net, &s, "tensor backbone.bn1.weight is missing; it looks like resnet18");
    add(&s, "backbone.bn1.weight", 63, 0, 0, 0);
    load_fails(net, &s, "tensor backbone.bn1.weight: it is f32 [63], want f32 [64]");
    float bad[64] = {0};
    s.t[s.n - 1].tensor.dim[0] = 64;
    s.t[s.n - 1].tensor.data = bad;
    bad[9] = NAN;
    load_fails(net, &s, "tensor backbone.bn1.weight: element 9 is NaN");
    bad[9] = 0, bad[63] = -INFINITY;
    load_fails(net, &s, "tensor backbone.bn1.weight: element 63 is infinite");
    bad[63] = -1e-9f;
    sketch spread = s;
    add(&spread, "backbone.bn1.bias", 64, 0, 0, 0);
    add(&spread, "backbone.bn1.running_mean", 64, 0, 0, 0);
    add(&spread, "backbone.bn1.running_var", 64, 0, 0, 0);
    spread.t[spread.n - 1].tensor.data = bad;
    load_fails(net, &spread, "tensor backbone.bn1.running_var: element 63 is -1e-09, which cannot be a variance");
    s.t[s.n - 1].tensor = (tw_tensor){TW_U8, 1, {64}, bad};
    load_fails(net, &s, "tensor backbone.bn1.weight: of type u8, want a floating-point type");
    config_fails(&s, "backbone", "resnet50", "its metadata says backbone=resnet50, its tensors are those of resnet18");
    not_ours(&s, "backbone", "ResNet-18");
    not_ours(&s, "act", "silu");
    not_ours(&s, "args.act", "null");
    not_ours(&s, "drop", "2");
    sketch headed = {.n = 0};
    add(&headed, "backbone.conv1.weight", 64, 3, 7, 7);
    add_blocks(&headed, "conv1.weight", r18);
    add(&headed, "projection_heads.projection_head.0.weight", 8, 0, 0, 0);
    config_fails(&headed, "act", "swish", "unknown activation 'swish'");
    config_fails(&headed, "drop", "2", "metadata drop=2");

    static const char *const prefixes[] = {
        "", "backbone.", "model.module.backbone.", "state_dict.module.", "state_dict.module.encoder_q.", "state_dict.module.base_encoder.",
        "base_encoder.", "module.encoder.", "_orig_mod.", "module._orig_mod.", "model._orig_mod.backbone.", "backbone._orig_mod.",
        "state_dict.model.", "state_dict.net.", "state_dict.online_network.encoder.", "classy_state_dict.base_model.model.trunk._feature_blocks.",
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        accepted(&s, prefixes[i], "resnet18");

    add(&other, "backbone.conv1.weight", 64, 3, 3, 3);
    add_blocks(&other, "conv1.weight", r34);
    load_fails(net, &other, "a checkpoint of another network: resnet34 (small stem), where resnet18 is wanted");
    add(&deep, "backbone.conv1.weight", 64, 3, 7, 7);
    add_blocks(&deep, "conv3.weight", r200);
    config_fails(&deep, NULL, NULL, "a ResNet of 3, 3, 3, 3 bottleneck blocks, 64 channels wide, which this version cannot run");
    add(&wide, "backbone.conv1.weight", 192, 3, 3, 3);
    add_blocks(&wide, "conv3.weight", r34);
    config_fails(&wide, NULL, NULL, "a ResNet of 3, 4, 6, 3 bottleneck blocks, 192 channels wide");
    load_fails(net, &wide, "where resnet18 is wanted");
    wide.t[0].tensor.dim[0] = 128;
    accepted(&wide, "", "resnet50w2");
    odd_blocks();
    odd_tokens();
    add(&vit, "patch_embed.proj.weight", 6, 3, 2, 2);
    add(&vit, "blocks.0.norm1.weight", 6, 0, 0, 0);
    add(&vit, "cls_token", 6, 0, 0, 0);
    add(&vit, "pos_embed", 6, 0, 0, 0);
    config_fails(&vit, NULL, NULL, "a vision transformer of 1 blocks, 6 channels wide, which this version cannot run");
    add(&none, "embedding.weight", 6, 0, 0, 0);
    config_fails(&none, NULL, NULL, "no known network");
    add(&none, "visual.stem.conv1.weight", 6, 3, 2, 2);
    config_fails(&none, NULL, NULL, "no network found under a known prefix; there may be one under another: try twist-ckpt --prefix=visual.stem.");
    none.n = 0;
    config_fails(&none, NULL, NULL, "contains no tensors");
}

static void write_net(tw_net *net, const tw_net_config *c, unsigned parts, const char *rename)
{
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net), sizeof *t);
    char(*name)[96] = tw_calloc((size_t)tw_net_params(net), sizeof *name);
    tw_network_description d;
    const int n = tw_network_tensors(t, net, parts);
    for (int i = 0; i < n && rename != NULL; i++) {
        snprintf(name[i], sizeof name[i], "%s%s", rename, t[i].name);
        t[i].name = name[i];
    }
    tw_network_describe(&d, c);
    CHECK(tw_safetensors_write(path, t, n, (const char *const(*)[2])d.pair, rename == NULL ? d.n : 0) == 0);
    free(t);
    free(name);
}

/* A vision transformer with a head out of the ordinary: told by its tensors, loaded, refused where anything differs. */
static void vit(void)
{
    const tw_net_config c = {.backbone = "vit_t", .patch_size = 8, .pos_grid = 5, .head = true, .hid_dim = 24, .dim = 10,
                             .act = "gelu", .proj_norm = "ln", .lbn_type = "identity", .precision = TW_F32, .seed = 2, .threads = 1};
    tw_net_config found = {0}, other = c;
    tw_net *net = new_net(c);
    char text[256];
    write_net(net, &c, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD, NULL);
    tw_checkpoint *f = tw_checkpoint_open(path);
    CHECK(f != NULL && tw_network_config(&found, f) == 0 && tw_network_text(text, sizeof text, f, "") == 0);
    CHECK(strcmp(found.backbone, "vit_t") == 0 && found.patch_size == 8 && found.pos_grid == 5 &&
          strcmp(found.proj_norm, "ln") == 0 && strcmp(found.lbn_type, "identity") == 0 && strcmp(found.act, "gelu") == 0);
    CHECK(strcmp(text, "vit_t (patches of 8 px, positions for 5 x 5) with a head of 24 and 10 units, LayerNorm inside, no last "
                       "norm") == 0);
    other.seed = 3;
    tw_net *same = new_net(other);
    CHECK(!same_weights(net, same, "") && tw_network_load(same, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) == 0);
    CHECK(same_weights(net, same, ""));
    tw_net_free(same);
    for (int i = 0; i < 4; i++) {
        other = c;
        other.patch_size = i == 0 ? 4 : 8;
        other.pos_grid = i == 1 ? 4 : 5;
        other.proj_norm = i == 2 ? "none" : "ln";
        other.lbn_type = i == 3 ? "bn" : "identity";
        tw_net *wrong = new_net(other);
        CHECK(tw_network_load(wrong, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) != 0);
        CHECK(says("a checkpoint of another network: vit_t"));
        tw_net_free(wrong);
    }
    tw_checkpoint_close(f);
    write_net(net, &c, TW_NETWORK_BACKBONE, "module."); /* as timm and DINO name them */
    f = tw_checkpoint_open(path);
    other.seed = 4;
    other.head = false;
    same = new_net(other);
    CHECK(f != NULL && tw_network_load(same, f, TW_NETWORK_BACKBONE) == 0 && same_weights(net, same, "backbone."));
    tw_checkpoint_close(f);
    tw_net_free(same);
    tw_net_free(net);
}

/* Older official files: last_linear was cls_heads.0.0, norm was cls_heads.0.1. */
static void older_head(void)
{
    tw_net_config found = {0}, c = config("resnet18", true, true, 1);
    tw_net *net = new_net(c), *other = new_net(config("resnet18", true, true, 0));
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net), sizeof *t);
    char (*name)[96] = tw_calloc((size_t)tw_net_params(net), sizeof *name);
    const int n = tw_network_tensors(t, net, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD);
    int renamed = 0;
    for (int i = 0; i < n; i++) {
        const bool last = strncmp(t[i].name, "projection_heads.last_linear.", 29) == 0;
        if (!last && strncmp(t[i].name, "projection_heads.norm.", 22) != 0)
            continue;
        snprintf(name[i], sizeof name[i], "projection_heads.cls_heads.0.%s%s", last ? "0." : "1.", t[i].name + (last ? 29 : 22));
        t[i].name = name[i];
        renamed++;
    }
    CHECK(renamed == 5); /* two of the layer, three of the norm, which has no weights */
    CHECK(tw_safetensors_write(path, t, n, NULL, 0) == 0);
    tw_checkpoint *f = tw_checkpoint_open(path);
    CHECK(f != NULL && tw_network_config(&found, f) == 0 && found.head && found.dim == 10 && strcmp(found.lbn_type, "bn") == 0);
    CHECK(tw_network_load(other, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD) == 0 && same_weights(net, other, ""));
    tw_checkpoint_close(f);
    tw_net_free(net);
    tw_net_free(other);
    free(t);
    free(name);
}

/* DINO's and iBOT's files hold a student and a teacher: the teacher is taken, as in their evaluation, where nothing else is asked for. A model
 * beside a teacher stays the model. */
static void distilled(tw_net *net, tw_net *other)
{
    static const struct {
        const char *of_net, *of_other;
        unsigned part;
    } cases[] = {
        {"teacher.backbone.", "student.module.backbone.", 0},
        {"teacher.", "student.module.", 0},
        {"teacher.backbone.", "student.module.backbone.", TW_NETWORK_TEACHER},
        {"student.module.backbone.", "teacher.backbone.", TW_NETWORK_STUDENT},
        {"student.", "optimizer.", 0},
        {"module.backbone.", "teacher.backbone.", 0},
        {"model.module.backbone.", "teacher.module.backbone.", 0},
    };
    const int params = tw_net_params(net);
    tw_net *found = new_net(config("resnet18", false, false, 0));
    tw_named_tensor *t = tw_calloc(2 * (size_t)params, sizeof *t);
    char(*name)[96] = tw_calloc(2 * (size_t)params, sizeof *name), text[192];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int n = tw_network_tensors(t, other, TW_NETWORK_BACKBONE);
        n += tw_network_tensors(t + n, net, TW_NETWORK_BACKBONE);
        for (int i = 0; i < n; i++) {
            snprintf(name[i], sizeof name[i], "%s%s", i < n / 2 ? cases[k].of_other : cases[k].of_net, t[i].name);
            t[i].name = name[i];
        }
        CHECK(tw_safetensors_write(path, t, n, NULL, 0) == 0);
        tw_checkpoint *f = tw_checkpoint_open(path);
        CHECK(f != NULL && tw_network_load(found, f, TW_NETWORK_BACKBONE | cases[k].part) == 0 && same_weights(net, found, ""));
        CHECK(tw_network_text(text, sizeof text, f, "") == 0);
        CHECK(strcmp(text, k < 4 ? "resnet18, its teacher" : k == 4 ? "resnet18, its student" : "resnet18") == 0);
        if (k == 4)
            CHECK(tw_network_load(found, f, TW_NETWORK_BACKBONE | TW_NETWORK_TEACHER) != 0 && says("no teacher in it"));
        if (k == 5)
            CHECK(tw_network_load(found, f, TW_NETWORK_BACKBONE | TW_NETWORK_STUDENT) != 0 && says("no student in it"));
        tw_checkpoint_close(f);
    }
    tw_net_free(found);
    free(t);
    free(name);
}

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    full_round_trip();
    tw_net *net = new_net(config("resnet18", false, false, 4)), *other = new_net(config("resnet18", false, false, 0));
    names_and_types(net, other, "");
    names_and_types(net, other, "module.backbone.");
    distilled(net, other);
    other_layers(net);
    refusals(net);
    vit();
    older_head();
    tw_net_free(net);
    tw_net_free(other);
    unlink(path);
    rmdir(folder);
    return test_done();
}
