#include "nn/backbones.h"

#include <stddef.h>
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
