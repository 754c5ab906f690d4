/* Inside lib/checkpoint: which network a list of tensors is, by their names and shapes. */
#ifndef TW_CHECKPOINT_IDENTIFY_H
#define TW_CHECKPOINT_IDENTIFY_H

#include "checkpoint/safetensors.h"

typedef struct {
    char prefix[64], head_prefix[96]; /* of the backbone's and the head's names: "backbone.", "" */
    const char *backbone;             /* "resnet18"; static; NULL: none that lib/nn has */
    bool small_stem, head;
    int patch_size, pos_grid;         /* of a vision transformer, as in tw_net_config */
    int hid_dim, dim;                 /* of the head */
    const char *proj_norm;            /* of the head: "bn", "ln", "none"; static */
    bool last_norm;                   /* of the head: it ends in a norm */
    char text[192];                   /* for people: "resnet18 (small stem) with a head of 512 and 40 units" */
} tw_identity;

/* Looks at the tensors whose names begin with root ("", "teacher.", ...) and then any words that may wrap a network ("module.", "model.backbone.",
 * ...: a table in identify.c), all of which the prefixes then include: of several, names behind "backbone." first, then those of the fewest words.
 * Where root is "" and no network is found, the teacher's and then the student's is taken: DINO's and iBOT's files have no other, and the teacher
 * is what their evaluation takes. 0, or -1 and tw_error() where no backbone is found. */
int tw_identify(tw_identity *id, const tw_named_tensor *t, int n, const char *root);

/* Whether a tensor of that name, prefix taken off, is part of a ResNet or a vision transformer (no classifier, optimizer, ...). */
bool tw_identify_backbone_name(const char *name);

/* The name of a head's tensor, prefix taken off, in older official files (cls_heads.0.0 for last_linear, cls_heads.0.1 for norm), or from
 * one of those the name of today; others stay as they are. Cut to size. */
void tw_identify_head_name(char *to, size_t size, const char *name, bool older);

#endif
