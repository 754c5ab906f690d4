/* Selects a part of a checkpoint and renames its tensors, for writing them to another file. */
#ifndef TW_CHECKPOINT_LAYOUT_H
#define TW_CHECKPOINT_LAYOUT_H

#include "checkpoint/checkpoint.h"

typedef enum { TW_PART_ALL, TW_PART_MODEL, TW_PART_BACKBONE, TW_PART_TEACHER, TW_PART_STUDENT } tw_part;

/* KEEP: the file's own names (TW_PART_ALL only). OFFICIAL: "backbone.conv1.weight", "projection_heads." (older names are updated). TORCHVISION: a
 * backbone alone, "conv1.weight". DETECTRON2: a ResNet alone, "stem.conv1.weight", "res2.0.shortcut.norm.weight". */
typedef enum { TW_KEYS_KEEP, TW_KEYS_OFFICIAL, TW_KEYS_TORCHVISION, TW_KEYS_DETECTRON2 } tw_keys;

typedef struct {
    tw_named_tensor *t; /* data borrowed from the checkpoint */
    int n;
    char (*name)[192];
} tw_selection;

/* Selects the tensors of a part, in the file's order. MODEL: backbone and, if there is one, head; TEACHER, STUDENT: those under "teacher.",
 * "student."; BACKBONE: the backbone without a classifier "fc.". prefix: that of the model's or backbone's names; "": found by tw_identify's rules.
 * 0, or -1 and tw_error() naming the file: there is no such part, or the naming has no name for a tensor. Free with tw_selection_fini. */
int tw_select(tw_selection *s, const tw_checkpoint *f, tw_part part, tw_keys keys, const char *prefix);
void tw_selection_fini(tw_selection *s);

#endif
