#include "checkpoint/identify.h"

#include "core/error.h"
#include "nn/backbones.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const tw_named_tensor *t;
    int n;
    const char *prefix;
} list;

/* The tensor PREFIX + name; NULL: absent. */
static const tw_tensor *find(const list *l, const char *name)
{
    const size_t n = strlen(l->prefix);
    for (int i = 0; i < l->n; i++)
        if (strncmp(l->t[i].name, l->prefix, n) == 0 && strcmp(l->t[i].name + n, name) == 0)
            return &l->t[i].tensor;
    return NULL;
}

/* Whether any name begins with PREFIX + start. */
static bool any(const list *l, const char *start)
{
    const size_t n = strlen(l->prefix);
    for (int i = 0; i < l->n; i++)
        if (strncmp(l->t[i].name, l->prefix, n) == 0 && strncmp(l->t[i].name + n, start, strlen(start)) == 0)
            return true;
    return false;
}

/* How many of a stage's blocks "STAGE.0.", "STAGE.1.", ... are in the list; at most 99. */
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

/* Appends to id->text. */
static void say(tw_identity *id, const char *format, ...)
{
    const size_t used = strlen(id->text);
    va_list args;
    va_start(args, format);
    vsnprintf(id->text + used, sizeof id->text - used, format, args);
    va_end(args);
}

/* A size from a file as an int; 0 if it is not a small positive number. */
static int small(int64_t of)
{
    return of > 0 && of <= 1 << 20 ? (int)of : 0;
}

/* The name of a layer in the first block that lib/nn's blocks do not have; NULL: none. */
static const char *odd_layer(const list *l)
{
    static const char first[] = "layer1.0.";
    static const char *const known[] = {"conv1.", "conv2.", "conv3.", "bn1.", "bn2.", "bn3.", "downsample.0.", "downsample.1."};
    const size_t n = strlen(l->prefix), m = strlen(first);
    for (int i = 0; i < l->n; i++) {
        const char *name = l->t[i].name;
        if (strncmp(name, l->prefix, n) != 0 || strncmp(name + n, first, m) != 0)
            continue;
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            is_known = is_known || strncmp(name + n + m, known[k], strlen(known[k])) == 0;
        if (!is_known)
            return name + n;
    }
    return NULL;
}

/* Appends to id->text how blocks of that width differ from lib/nn's. Returns whether they do not. */
static bool say_odd_blocks(tw_identity *id, const list *l, int64_t width)
{
    const tw_tensor *inner = find(l, "layer1.0.conv2.weight");
    const char *odd = odd_layer(l);
    const bool shaped = inner != NULL && inner->rank == 4 && inner->dim[0] > 0 && inner->dim[1] > 0;
    const bool grouped = shaped && inner->dim[1] < inner->dim[0], wide = shaped && inner->dim[0] != width;
    if (wide)
        say(id, ", %lld in the first block", (long long)inner->dim[0]);
    if (grouped)
        say(id, ", convolutions in %lld groups", (long long)(inner->dim[0] / inner->dim[1]));
    if (odd != NULL)
        say(id, ", with %.64s", odd);
    return !wide && !grouped && odd == NULL;
}

static void identify_resnet(tw_identity *id, const list *l)
{
    const tw_tensor *stem = find(l, "conv1.weight");
    const bool bottleneck = any(l, "layer1.0.conv3.");
    const int count[4] = {count_blocks(l, "layer1"), count_blocks(l, "layer2"), count_blocks(l, "layer3"),
                          count_blocks(l, "layer4")};
    const int64_t width = stem->rank == 4 ? stem->dim[0] : 0;
    id->small_stem = stem->rank == 4 && stem->dim[2] == 3;
    say(id, "a ResNet of %d, %d, %d, %d %s blocks, %lld channels wide", count[0], count[1], count[2], count[3],
        bottleneck ? "bottleneck" : "basic", (long long)width);
    const bool plain = say_odd_blocks(id, l, width);
    for (const tw_resnet_kind *k = tw_resnets; k->name != NULL; k++)
        if (plain && k->bottleneck == bottleneck && memcmp(k->blocks, count, sizeof count) == 0 && width == 64 * k->widen)
            id->backbone = k->name;
    if (id->backbone != NULL)
        snprintf(id->text, sizeof id->text, "%s", id->backbone);
    if (id->small_stem)
        say(id, " (small stem)");
}

/* The side of a position embedding [1, 1 + side^2, C]; 0: not one. */
static int side_of(const tw_tensor *pos)
{
    const int64_t cells = pos != NULL && pos->rank == 3 && pos->dim[0] == 1 && pos->dim[1] <= 1 << 16 ? pos->dim[1] - 1 : 0;
    int side = 0;
    while ((int64_t)side * side < cells)
        side++;
    return (int64_t)side * side == cells ? side : 0;
}

/* Appends to id->text why a vision transformer of lib/nn's size is not one that lib/nn has. */
static void say_odd_tokens(tw_identity *id, const list *l, const tw_tensor *pos)
{
    if (id->patch_size == 0)
        say(id, ", patches that are not square");
    if (find(l, "cls_token") == NULL)
        say(id, ", without a cls_token");
    if (find(l, "dist_token") != NULL)
        say(id, ", with a dist_token");
    if (pos == NULL)
        say(id, ", without a pos_embed");
    else if (id->pos_grid == 0 && pos->rank == 3)
        say(id, ", with %lld positions", (long long)pos->dim[1]);
}

static void identify_vit(tw_identity *id, const list *l)
{
    const tw_tensor *patch = find(l, "patch_embed.proj.weight"), *pos = find(l, "pos_embed");
    const int blocks = count_blocks(l, "blocks"), width = patch->rank == 4 ? small(patch->dim[0]) : 0;
    id->patch_size = patch->rank == 4 && patch->dim[2] == patch->dim[3] ? small(patch->dim[2]) : 0;
    id->pos_grid = side_of(pos);
    const bool plain = id->patch_size > 0 && id->pos_grid > 0 && find(l, "cls_token") != NULL && find(l, "dist_token") == NULL;
    for (const tw_vit_kind *k = tw_vits; k->name != NULL; k++)
        if (width == k->width && blocks == TW_VIT_DEPTH && plain)
            id->backbone = k->name;
    if (id->backbone != NULL) {
        say(id, "%s (patches of %d px, positions for %d x %d)", id->backbone, id->patch_size, id->pos_grid, id->pos_grid);
        return;
    }
    say(id, "a vision transformer of %d blocks, %d channels wide", blocks, width);
    say_odd_tokens(id, l, pos);
}

void tw_identify_head_name(char *to, size_t size, const char *name, bool older)
{
    static const char *const last[][2] = {{"last_linear.", "cls_heads.0.0."}, {"norm.", "cls_heads.0.1."}};
    snprintf(to, size, "%s", name);
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        const char *from = last[i][older ? 0 : 1];
        if (strncmp(name, from, strlen(from)) == 0)
            snprintf(to, size, "%s%s", last[i][older ? 1 : 0], name + strlen(from));
    }
}

static const tw_tensor *find_in_head(const list *l, const char *name)
{
    char older[64];
    const tw_tensor *t = find(l, name);
    tw_identify_head_name(older, sizeof older, name, true);
    return t != NULL ? t : find(l, older);
}

static void identify_head(tw_identity *id, const list *l)
{
    const tw_tensor *hidden = find(l, "projection_head.0.weight"), *last = find_in_head(l, "last_linear.weight");
    id->head = true;
    id->hid_dim = hidden != NULL && hidden->rank == 2 ? small(hidden->dim[0]) : 0;
    id->dim = last != NULL && last->rank == 2 ? small(last->dim[0]) : 0;
    id->proj_norm = find(l, "projection_head.1.running_mean") != NULL ? "bn" : any(l, "projection_head.1.") ? "ln" : "none";
    id->last_norm = find_in_head(l, "norm.running_mean") != NULL;
    say(id, " with a head of %d and %d units", id->hid_dim, id->dim);
    if (strcmp(id->proj_norm, "bn") != 0)
        say(id, ", %s", strcmp(id->proj_norm, "ln") == 0 ? "LayerNorm inside" : "no norm inside");
    if (!id->last_norm)
        say(id, ", no last norm");
}

static bool identify_backbone(tw_identity *id, const list *l)
{
    if (find(l, "conv1.weight") != NULL)
        identify_resnet(id, l);
    else if (find(l, "patch_embed.proj.weight") != NULL)
        identify_vit(id, l);
    return id->text[0] != '\0';
}

bool tw_identify_backbone_name(const char *name)
{
    static const char *const starts[] = {"conv1.",    "bn1.",      "layer1.",   "layer2.",      "layer3.", "layer4.",
                                         "cls_token", "reg_token", "pos_embed", "patch_embed.", "blocks.", "norm."};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Whether the word may be part of a prefix of a network's names: keys of trainers' dicts, PyTorch's wrappers, trainers' names for the network. */
static bool is_wrapping(const char *word, size_t n)
{
    static const char *const words[] = {
        "model",   "state_dict", "classy_state_dict", "base_model",     "module",          "_orig_mod", "net",  "network", "backbone",
        "encoder", "encoder_q",  "base_encoder",      "online_network", "_feature_blocks", "trunk",     "body", "timm_model",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && memcmp(words[i], word, n) == 0)
            return true;
    return false;
}

/* Where the key begins in the name, after any number of wrapper words; NULL: nowhere. *words: their number, less 100 if "backbone" is among them. */
static const char *unwrap(int *words, const char *name, const char *key)
{
    *words = 0;
    while (strncmp(name, key, strlen(key)) != 0) {
        const size_t n = strcspn(name, ".");
        if (name[n] == '\0' || !is_wrapping(name, n))
            return NULL;
        *words += n == 8 && memcmp(name, "backbone", 8) == 0 ? -99 : 1;
        name += n + 1;
    }
    return name;
}

/* The prefix (root and wrapper words) of the name with that key that has the fewest words; false: none has fewer than *fewest. */
static bool find_prefix(char prefix[64], int *fewest, const list *l, const char *key)
{
    const size_t root = strlen(l->prefix);
    bool found = false;
    int words;
    for (int i = 0; i < l->n; i++) {
        const char *name = l->t[i].name;
        const char *at = strncmp(name, l->prefix, root) == 0 ? unwrap(&words, name + root, key) : NULL;
        if (at == NULL || words >= *fewest || at - name >= 64)
            continue;
        snprintf(prefix, 64, "%.*s", (int)(at - name), name);
        *fewest = words;
        found = true;
    }
    return found;
}

static bool find_backbone(tw_identity *id, const list *l)
{
    int fewest = 100;
    const bool resnet = find_prefix(id->prefix, &fewest, l, "conv1.weight");
    const bool vit = find_prefix(id->prefix, &fewest, l, "patch_embed.proj.weight");
    return (resnet || vit) && identify_backbone(id, &(list){l->t, l->n, id->prefix});
}

/* The unknown prefix of what looks like a network's first layer; *n: its length. NULL: nothing does. */
static const char *find_other(size_t *n, const list *l)
{
    static const char *const first[] = {".conv1.weight", ".patch_embed.proj.weight"};
    for (int i = 0; i < l->n; i++)
        for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
            const char *name = l->t[i].name, *at = strstr(name, first[k]);
            if (at == NULL || strcmp(at, first[k]) != 0 || l->t[i].tensor.rank != 4 || l->t[i].tensor.dim[1] != 3)
                continue;
            *n = (size_t)(at - name) + 1;
            return name;
        }
    return NULL;
}

static int no_network(const list *l)
{
    size_t n;
    const char *other = find_other(&n, l);
    if (l->prefix[0] != '\0')
        return tw_fail("no network found under the prefix '%s' (the first tensor is %.64s)", l->prefix, l->t[0].name);
    if (other != NULL)
        return tw_fail("no network found under a known prefix; there may be one under another: try twist-ckpt --prefix=%.*s",
                       (int)(n < 100 ? n : 100), other);
    return tw_fail("no known network: its tensors include neither conv1.weight nor patch_embed.proj.weight (the first is %.64s)",
                   l->t[0].name);
}

int tw_identify(tw_identity *id, const tw_named_tensor *t, int n, const char *root)
{
    static const char *const distilled[] = {"teacher", "student"};
    static const char head[] = "projection_heads.";
    char other[16] = "", prefix[64];
    int fewest = 100;
    *id = (tw_identity){.backbone = NULL};
    bool found = find_backbone(id, &(list){t, n, root});
    for (size_t i = 0; !found && root[0] == '\0' && i < sizeof distilled / sizeof *distilled; i++) {
        snprintf(other, sizeof other, "%s.", distilled[i]);
        found = find_backbone(id, &(list){t, n, other});
    }
    if (!found)
        return no_network(&(list){t, n, root});
    if (find_prefix(prefix, &fewest, &(list){t, n, other[0] != '\0' ? other : root}, head)) {
        snprintf(id->head_prefix, sizeof id->head_prefix, "%s%s", prefix, head);
        identify_head(id, &(list){t, n, id->head_prefix});
    }
    if (other[0] != '\0')
        say(id, ", its %.*s", (int)strcspn(other, "."), other);
    return 0;
}
