/* Parts of a checkpoint under another naming, for writing them elsewhere. */
#ifndef TW_CHECKPOINT_LAYOUT_H
#define TW_CHECKPOINT_LAYOUT_H

#include "checkpoint/checkpoint.h"

typedef enum { TW_PART_ALL, TW_PART_MODEL, TW_PART_BACKBONE, TW_PART_TEACHER, TW_PART_STUDENT } tw_part;

/* KEEP: the file's own names (of TW_PART_ALL only). OFFICIAL: "backbone.conv1.weight", "projection_heads." (of today, where
 * the file has older ones). TORCHVISION: a backbone
 * alone, "conv1.weight". DETECTRON2: a ResNet alone, "stem.conv1.weight", "res2.0.shortcut.norm.weight". */
typedef enum { TW_KEYS_KEEP, TW_KEYS_OFFICIAL, TW_KEYS_TORCHVISION, TW_KEYS_DETECTRON2 } tw_keys;

typedef struct {
    tw_named_tensor *t; /* data borrowed from the checkpoint */
    int n;
    char (*name)[192];
} tw_selection;

/* The tensors of that part in the file's order: of the model its backbone and, where there is one, its head; of the teacher and the student the
 * same behind "teacher." and "student."; of a backbone what lib/nn calls so (no classifier "fc."). The model and
 * the backbone are those behind prefix, or "": wherever names known here have them. 0, or -1 and tw_error() naming the file: no such
 * part, or tensors that the naming has no name for. Free with tw_selection_fini. */
int tw_select(tw_selection *s, const tw_checkpoint *f, tw_part part, tw_keys keys, const char *prefix);
void tw_selection_fini(tw_selection *s);

#endif
