/* The identities of a features stream's samples: keys, labels and class names, collected while the stream is read. */
#ifndef TW_EVAL_ROSTER_H
#define TW_EVAL_ROSTER_H

#include "stream/reader.h"

typedef struct {
    char *name;         /* of the endpoint, for messages */
    int64_t n, labelled; /* samples, those with a label */
    int32_t *label;     /* [n], -1: nil */
    int n_classes;      /* number of class names in the header; without any, the largest label + 1 */
    int named;          /* number of names in classes: n_classes, or 0 if the header has none */
    char **classes;
    int64_t network;    /* from the header: checksum of the network that made the features; 0: unknown */
    tw_bytes text;      /* the keys, one after another */
    size_t *key_end, label_cap, key_cap;
} tw_roster;

/* Starts an empty roster from the reader's header; refuses streams of another kind than features. 0, or -1 and tw_error(). */
int tw_roster_init(tw_roster *r, const tw_reader *reader);
void tw_roster_fini(tw_roster *r);

/* Appends the sample's key and label. 0, or -1 and tw_error(), also if the label is beyond the named classes. */
int tw_roster_add(tw_roster *r, const tw_sample *s);

/* Counts the sample in n, with the same check of its label, but does not store label and key: for streams that are not kept. */
int tw_roster_pass(tw_roster *r, const tw_sample *s);

/* The key of sample i, not NUL-terminated; borrowed until the next add. */
const char *tw_roster_key(const tw_roster *r, int64_t i, size_t *size);

/* Checks that there are samples and all have labels. 0, or -1 and tw_error() naming the first without. */
int tw_roster_labelled(const tw_roster *r);

/* Checks that labels mean the same in both: -1 and tw_error() if both have class names and these differ, else 0. */
int tw_roster_same_classes(const tw_roster *a, const tw_roster *b);

/* Warns if the features of a and b are known to come from different networks: distances between them are meaningless. */
void tw_roster_compare_networks(const tw_roster *a, const tw_roster *b);

/* Renumbers the labels, by class name, to these n classes. *lost: how many samples lose their label as its class is not among them. 0, or -1 and
 * tw_error(). */
int tw_roster_rename(tw_roster *r, char *const *classes, int n, int64_t *lost);

/* Sets tw_error() to "FILE: sample 3 (KEY): TEXT" for s, the sample after the n so far. Returns -1. */
int tw_roster_fail(const tw_roster *r, const tw_sample *s, const char *text);

#endif
