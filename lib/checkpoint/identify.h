/* Inside lib/checkpoint: which network a list of tensors is, by their names and shapes. */
#ifndef TW_CHECKPOINT_IDENTIFY_H
#define TW_CHECKPOINT_IDENTIFY_H

#include "checkpoint/safetensors.h"

typedef struct {
    char prefix[64], head_prefix[64]; /* of the backbone's and the head's names: "backbone.", "" */
    bool known;                       /* backbone is one that lib/nn has */
    const char *backbone;             /* "resnet18"; static */
    bool small_stem, head;
    int hid_dim, dim;                 /* of the head */
    char text[160];                   /* for people: "resnet18 (small stem) with a head of 512 and 40 units" */
} tw_identity;

/* Looks at the tensors whose names begin with root ("" or "teacher."), which the prefixes then include. 0, or -1 and tw_error()
 * where no backbone is found. */
int tw_identify(tw_identity *id, const tw_named_tensor *t, int n, const char *root);

#endif
