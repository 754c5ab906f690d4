/* The table of backbones: what distinguishes them, for the builders (resnet.c, vit.c) and for recognising one in a file of weights. */
#ifndef TW_NN_BACKBONES_H
#define TW_NN_BACKBONES_H

#include <stdbool.h>

/* A ResNet: blocks of each stage; every width, the stem's included, is `widen` times the usual. */
typedef struct {
    const char *name; /* NULL ends the table */
    bool bottleneck;  /* bottleneck blocks; false: basic blocks */
    int blocks[4], widen;
} tw_resnet_kind;

/* A vision transformer of TW_VIT_DEPTH blocks. */
typedef struct {
    const char *name; /* NULL ends the table */
    int width, heads;
} tw_vit_kind;

enum { TW_VIT_DEPTH = 12, TW_VIT_PX = 224, TW_VIT_PATCH = 16 }; /* PX: picture size that the default position embedding is for */

extern const tw_resnet_kind tw_resnets[];
extern const tw_vit_kind tw_vits[];

/* The table's row of that name; NULL: no such backbone. */
const tw_resnet_kind *tw_resnet_find(const char *name);
const tw_vit_kind *tw_vit_find(const char *name);

/* Checks that there is a backbone of that name and that it can have a small stem, if asked for (only ResNets can). 0, or -1 and tw_error(),
 * whose text begins with the name. */
int tw_backbone_check(const char *name, bool small_stem);

#endif
