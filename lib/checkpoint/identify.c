#include "checkpoint/identify.h"

#include "core/error.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const tw_named_tensor *t;
    int n;
    const char *prefix;
} list;

/* The tensor of that name behind the prefix; NULL: absent. */
static const tw_tensor *find(const list *l, const char *name)
{
    const size_t n = strlen(l->prefix);
    for (int i = 0; i < l->n; i++)
        if (strncmp(l->t[i].name, l->prefix, n) == 0 && strcmp(l->t[i].name + n, name) == 0)
            return &l->t[i].tensor;
    return NULL;
}

/* Whether any name begins so behind the prefix. */
static bool any(const list *l, const char *start)
{
    const size_t n = strlen(l->prefix);
    for (int i = 0; i < l->n; i++)
        if (strncmp(l->t[i].name, l->prefix, n) == 0 && strncmp(l->t[i].name + n, start, strlen(start)) == 0)
            return true;
    return false;
}

/* How many of a stage's blocks "STAGE.0.", "STAGE.1.", ... stand in the list; at most 99. */
static int count_blocks(const list *l, const char *stage)
{
    char start[32];
    int n = 0;
    for (; n < 99; n++) {
        snprintf(start, sizeof start, "%s.%d.", stage, n);
        if (!any(l, start))
            break;
    }
    return n;
}

static const struct {
    const char *name;
    bool bottleneck;
    int blocks[4];
} resnets[] = {
    {"resnet18", false, {2, 2, 2, 2}},
    {"resnet34", false, {3, 4, 6, 3}},
    {"resnet50", true, {3, 4, 6, 3}},
};

/* The backbone in words into id->text; returns its length. */
static size_t identify_resnet(tw_identity *id, const list *l)
{
    const tw_tensor *stem = find(l, "conv1.weight");
    const bool bottleneck = any(l, "layer1.0.conv3.");
    const int count[4] = {count_blocks(l, "layer1"), count_blocks(l, "layer2"), count_blocks(l, "layer3"),
                          count_blocks(l, "layer4")};
    const int64_t width = stem->rank == 4 ? stem->dim[0] : 0;
    id->small_stem = stem->rank == 4 && stem->dim[2] == 3;
    for (size_t i = 0; i < sizeof resnets / sizeof *resnets; i++)
        if (resnets[i].bottleneck == bottleneck && memcmp(resnets[i].blocks, count, sizeof count) == 0)
            id->backbone = resnets[i].name;
    id->known = id->backbone != NULL && width == 64;
    int n;
    if (id->known)
        n = snprintf(id->text, sizeof id->text, "%s", id->backbone);
    else
        n = snprintf(id->text, sizeof id->text, "a ResNet of %d, %d, %d, %d %s blocks, %lld channels wide", count[0], count[1],
                     count[2], count[3], bottleneck ? "bottleneck" : "basic", (long long)width);
    if (id->small_stem)
        n += snprintf(id->text + n, sizeof id->text - (size_t)n, " (small stem)");
    return (size_t)n;
}

static size_t identify_vit(tw_identity *id, const list *l)
{
    const tw_tensor *patch = find(l, "patch_embed.proj.weight");
    return (size_t)snprintf(id->text, sizeof id->text, "a vision transformer of %d blocks, %lld channels wide",
                            count_blocks(l, "blocks"), patch->rank == 4 ? (long long)patch->dim[0] : 0LL);
}

static void identify_head(tw_identity *id, const list *l, size_t used)
{
    const tw_tensor *hidden = find(l, "projection_head.0.weight"), *last = find(l, "last_linear.weight");
    id->head = true;
    id->hid_dim = hidden != NULL && hidden->rank == 2 && hidden->dim[0] <= 1 << 20 ? (int)hidden->dim[0] : 0;
    id->dim = last != NULL && last->rank == 2 && last->dim[0] <= 1 << 20 ? (int)last->dim[0] : 0;
    snprintf(id->text + used, sizeof id->text - used, " with a head of %d and %d units", id->hid_dim, id->dim);
}

static size_t identify_backbone(tw_identity *id, const list *l)
{
    if (find(l, "conv1.weight") != NULL)
        return identify_resnet(id, l);
    return find(l, "patch_embed.proj.weight") != NULL ? identify_vit(id, l) : 0;
}

/* What the state dict itself may stand under. */
static const char *const outer[] = {"", "model.", "state_dict.", "student."};
enum { OUTER = sizeof outer / sizeof *outer };

int tw_identify(tw_identity *id, const tw_named_tensor *t, int n, const char *root)
{
    static const char *const backbones[] = {"backbone.", "module.backbone.", "", "module.", "module.encoder_q."};
    static const char *const heads[] = {"projection_heads.", "module.projection_heads."};
    size_t used = 0;
    *id = (tw_identity){.known = false};
    for (size_t i = 0; used == 0 && i < OUTER * sizeof backbones / sizeof *backbones; i++) {
        snprintf(id->prefix, sizeof id->prefix, "%s%s%s", root, outer[i % OUTER], backbones[i / OUTER]);
        used = identify_backbone(id, &(list){t, n, id->prefix});
    }
    if (used == 0)
        return tw_fail("no network known here: neither conv1.weight nor patch_embed.proj.weight among its tensors (the first is "
                       "%.64s)",
                       t[0].name);
    for (size_t i = 0; !id->head && i < OUTER * sizeof heads / sizeof *heads; i++) {
        snprintf(id->head_prefix, sizeof id->head_prefix, "%s%s%s", root, outer[i % OUTER], heads[i / OUTER]);
        const list l = {t, n, id->head_prefix};
        if (any(&l, ""))
            identify_head(id, &l, used);
    }
    return 0;
}
