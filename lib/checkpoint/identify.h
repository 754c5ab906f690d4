/* Inside lib/checkpoint: recognises a network by the names and shapes of its tensors. */
#ifndef TW_CHECKPOINT_IDENTIFY_H
#define TW_CHECKPOINT_IDENTIFY_H

#include "checkpoint/safetensors.h"

typedef struct {
    char prefix[64], head_prefix[96]; /* of the backbone's and of the head's tensors: "backbone.", "" */
    const char *backbone;             /* "resnet18"; static; NULL: a network that lib/nn does not have */
    bool small_stem, head;
    int patch_size, pos_grid;         /* of a vision transformer, as in tw_net_config */
    int hid_dim, dim;                 /* of the head */
    const char *proj_norm;            /* of the head: "bn", "ln", "none"; static */
    bool last_norm;                   /* of the head: it ends in a norm */
    char text[192];                   /* for people: "resnet18 (small stem) with a head of 512 and 40 units" */
} tw_identity;

/* Looks at the tensors whose names begin with root ("", "teacher.", ...), optionally followed by wrapper words ("module.", "model.backbone.", ...: a
 * table in identify.c), all of which become part of the prefixes. Among several candidates, names with "backbone." come first, then those with
 * the fewest words. If root is "" and nothing is found, tries the teacher, then the student: DINO's and iBOT's files have only these, and their
 * evaluation uses the teacher. 0, or -1 and tw_error() if no backbone is found. */
int tw_identify(tw_identity *id, const tw_named_tensor *t, int n, const char *root);

/* Whether a name, without the prefix, is that of a tensor of a ResNet or vision transformer (not of a classifier, an optimizer, ...). */
bool tw_identify_backbone_name(const char *name);

/* Converts the name of a head's tensor, without the prefix, to that in older official files (older: last_linear -> cls_heads.0.0, norm ->
 * cls_heads.0.1), or back. Other names are copied. Cut to size. */
void tw_identify_head_name(char *to, size_t size, const char *name, bool older);

#endif
