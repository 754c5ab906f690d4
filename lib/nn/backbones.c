#include "nn/backbones.h"

#include "core/error.h"

#include <stdio.h>
#include <string.h>

const tw_resnet_kind tw_resnets[] = {
    {"resnet18", false, {2, 2, 2, 2}, 1},    {"resnet34", false, {3, 4, 6, 3}, 1},    {"resnet50", true, {3, 4, 6, 3}, 1},
    {"resnet200", true, {3, 24, 36, 3}, 1},  {"resnet50w2", true, {3, 4, 6, 3}, 2},   {"resnet50w4", true, {3, 4, 6, 3}, 4},
    {"resnet50w5", true, {3, 4, 6, 3}, 5},   {"resnet200w2", true, {3, 24, 36, 3}, 2}, {NULL, false, {0}, 0},
};

const tw_vit_kind tw_vits[] = {{"vit_t", 192, 3}, {"vit_s", 384, 6}, {"vit_b", 768, 12}, {NULL, 0, 0}};

const tw_resnet_kind *tw_resnet_find(const char *name)
{
    for (const tw_resnet_kind *k = tw_resnets; k->name != NULL; k++)
        if (strcmp(name, k->name) == 0)
            return k;
    return NULL;
}

const tw_vit_kind *tw_vit_find(const char *name)
{
    for (const tw_vit_kind *k = tw_vits; k->name != NULL; k++)
        if (strcmp(name, k->name) == 0)
            return k;
    return NULL;
}

static int unknown(const char *name)
{
    char list[256] = "";
    size_t n = 0;
    for (const tw_resnet_kind *k = tw_resnets; k->name != NULL; k++)
        n += (size_t)snprintf(list + n, sizeof list - n, " %s,", k->name);
    for (const tw_vit_kind *k = tw_vits; k->name != NULL; k++)
        n += (size_t)snprintf(list + n, sizeof list - n, " %s%s", k->name, k[1].name != NULL ? "," : "");
    return tw_fail("%s: unknown backbone: there are%s", name, list);
}

int tw_backbone_check(const char *name, bool small_stem)
{
    const bool vit = tw_vit_find(name) != NULL;
    if (!vit && tw_resnet_find(name) == NULL)
        return unknown(name);
    return vit && small_stem ? tw_fail("%s: the small stem is for ResNets", name) : 0;
}
