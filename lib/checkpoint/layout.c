#include "checkpoint/layout.h"

#include "checkpoint/identify.h"
#include "core/error.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = sizeof *((tw_selection *)0)->name };

/* The name after the prefix; NULL: it does not begin with it. */
static const char *behind(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

/* torchvision's name as detectron2's: conv1 -> stem.conv1, bn2 -> conv2.norm, layer3 -> res4, downsample.0 -> shortcut,
 * downsample.1 -> shortcut.norm. 0, or -1: not a ResNet's name. */
static int to_detectron2(char *out, const char *name)
{
    const char *part = name;
    int used = 0;
    if (strncmp(name, "layer", 5) == 0) {
        const char *block = strchr(name, '.'), *end = block != NULL ? strchr(block + 1, '.') : NULL;
        if (end == NULL)
            return -1;
        used = snprintf(out, NAME, "res%c%.*s.", name[5] + 1, (int)(end - block), block);
        part = end + 1;
    } else {
        used = snprintf(out, NAME, "stem.");
    }
    const char *rest = strchr(part, '.');
    if (rest == NULL || used >= NAME)
        return -1;
    if (strncmp(part, "conv", 4) == 0 && rest == part + 5)
        snprintf(out + used, (size_t)(NAME - used), "%s", part);
    else if (strncmp(part, "bn", 2) == 0 && rest == part + 3)
        snprintf(out + used, (size_t)(NAME - used), "conv%c.norm%s", part[2], rest);
    else if (strncmp(part, "downsample.0.", 13) == 0)
        snprintf(out + used, (size_t)(NAME - used), "shortcut.%s", part + 13);
    else if (strncmp(part, "downsample.1.", 13) == 0)
        snprintf(out + used, (size_t)(NAME - used), "shortcut.norm.%s", part + 13);
    else
        return -1;
    return 0;
}

static int put(tw_selection *s, const tw_named_tensor *t, const char *prefix, const char *name)
{
    char *to = s->name[s->n];
    if (snprintf(to, NAME, "%s%s", prefix, name) >= NAME)
        return tw_fail("tensor %.200s: its name is too long", t->name);
    s->t[s->n++] = (tw_named_tensor){to, t->tensor};
    return 0;
}

static int put_backbone(tw_selection *s, const tw_named_tensor *t, const char *name, tw_keys keys)
{
    char renamed[NAME];
    if (keys != TW_KEYS_DETECTRON2)
        return put(s, t, keys == TW_KEYS_OFFICIAL ? "backbone." : "", name);
    if (strlen(name) >= NAME - 8 || to_detectron2(renamed, name) != 0)
        return tw_fail("tensor %.200s: detectron2 has no name for it", t->name);
    return put(s, t, "", renamed);
}

static int put_head(tw_selection *s, const tw_named_tensor *t, const char *name)
{
    char renamed[NAME];
    tw_identify_head_name(renamed, sizeof renamed, name, false);
    return put(s, t, "projection_heads.", renamed);
}

static int choose(tw_selection *s, const tw_checkpoint *f, tw_part part, tw_keys keys, const char *prefix)
{
    const char *root = part == TW_PART_TEACHER ? "teacher." : part == TW_PART_STUDENT ? "student." : prefix;
    const int n = tw_checkpoint_count(f);
    tw_identity id;
    if (part == TW_PART_ALL) {
        for (int i = 0; i < n; i++)
            if (put(s, tw_checkpoint_at(f, i), "", tw_checkpoint_at(f, i)->name) != 0)
                return -1;
        return 0;
    }
    if (n == 0)
        return tw_fail("contains no tensors");
    if (tw_identify(&id, tw_checkpoint_at(f, 0), n, root) != 0)
        return -1;
    if (keys == TW_KEYS_DETECTRON2 && id.small_stem) /* detectron2 would only warn, and keep its own stem's weights */
        return tw_fail("a small stem, where detectron2's ResNet has a convolution of 7 x 7");
    for (int i = 0; i < n; i++) {
        const tw_named_tensor *t = tw_checkpoint_at(f, i);
        const char *backbone = behind(t->name, id.prefix), *head = id.head ? behind(t->name, id.head_prefix) : NULL;
        int rc = 0;
        if (backbone != NULL && tw_identify_backbone_name(backbone))
            rc = put_backbone(s, t, backbone, keys);
        else if (head != NULL && part != TW_PART_BACKBONE && keys == TW_KEYS_OFFICIAL)
            rc = put_head(s, t, head);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int tw_select(tw_selection *s, const tw_checkpoint *f, tw_part part, tw_keys keys, const char *prefix)
{
    const size_t n = (size_t)tw_checkpoint_count(f);
    *s = (tw_selection){.t = tw_calloc(n, sizeof *s->t), .name = tw_calloc(n, sizeof *s->name)};
    if (s->t != NULL && s->name != NULL && choose(s, f, part, keys, prefix) == 0)
        return 0;
    tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
    tw_selection_fini(s);
    return -1;
}

void tw_selection_fini(tw_selection *s)
{
    free(s->t);
    free(s->name);
    *s = (tw_selection){.n = 0};
}
