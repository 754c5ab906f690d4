/* The backbones there are: what tells one from another, for those who build them and those who recognise them in a file. */
#ifndef TW_NN_BACKBONES_H
#define TW_NN_BACKBONES_H

#include <stdbool.h>

/* A ResNet: blocks of each stage; every width, the stem's included, is `widen` times the usual. */
typedef struct {
    const char *name; /* NULL behind the last one */
    bool bottleneck;
    int blocks[4], widen;
} tw_resnet_kind;

/* A vision transformer of TW_VIT_DEPTH blocks. */
typedef struct {
    const char *name; /* NULL behind the last one */
    int width, heads;
} tw_vit_kind;

enum { TW_VIT_DEPTH = 12, TW_VIT_PX = 224, TW_VIT_PATCH = 16 }; /* PX: what the position embedding is for unless said otherwise */

extern const tw_resnet_kind tw_resnets[];
extern const tw_vit_kind tw_vits[];

/* NULL: no such backbone. */
const tw_resnet_kind *tw_resnet_find(const char *name);
const tw_vit_kind *tw_vit_find(const char *name);

/* Whether there is such a backbone, and with that stem: 0, or -1 and tw_error(), which begins with the name. */
int tw_backbone_check(const char *name, bool small_stem);

#endif
