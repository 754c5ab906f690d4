/* Who the samples of a features stream are: their keys, labels and the names of the classes, kept while the stream goes by. */
#ifndef TW_EVAL_ROSTER_H
#define TW_EVAL_ROSTER_H

#include "stream/reader.h"

typedef struct {
    char *name;         /* of the endpoint, for messages */
    int64_t n, labelled;
    int32_t *label;     /* [n], -1: nil */
    int n_classes;      /* as the header names them; where it does not, the largest label + 1 */
    int named;          /* names in classes: n_classes, or 0 where the header has none */
    char **classes;
    int64_t network;    /* as in the header: a checksum of what made the features; 0: not known */
    tw_bytes text;      /* the keys, one after another */
    size_t *key_end, label_cap, key_cap;
} tw_roster;

/* Starts with the reader's header; refuses streams of another kind than features. 0, or -1 and tw_error(). */
int tw_roster_init(tw_roster *r, const tw_reader *reader);
void tw_roster_fini(tw_roster *r);

/* Appends the sample's key and label. 0, or -1 and tw_error(): a label beyond the classes. */
int tw_roster_add(tw_roster *r, const tw_sample *s);

/* Counts the sample in n only, for streams that go by without being kept: the same check of its label, but neither that nor
 * its key can be asked for. */
int tw_roster_pass(tw_roster *r, const tw_sample *s);

/* The key of sample i, not NUL-terminated; borrowed until the next add. */
const char *tw_roster_key(const tw_roster *r, int64_t i, size_t *size);

/* 0 if every sample has a label (and there is one), else -1 and tw_error() naming the first without. */
int tw_roster_labelled(const tw_roster *r);

/* 0 if labels mean the same in both, else -1 and tw_error(): both have names of classes and they differ. */
int tw_roster_same_classes(const tw_roster *a, const tw_roster *b);

/* Warns where both say what made their features, and it is not the same: distances and weights mean nothing between them. */
void tw_roster_compare_networks(const tw_roster *a, const tw_roster *b);

/* Takes the labels, by the names of their classes, for those of these n classes. *lost: how many are of none of them, and are no labels any more.
 * 0, or -1 and tw_error(). */
int tw_roster_rename(tw_roster *r, char *const *classes, int n, int64_t *lost);

/* Records that something is wrong with s, which comes after the n samples so far: "FILE: sample 3 (KEY): TEXT". Returns -1. */
int tw_roster_fail(const tw_roster *r, const tw_sample *s, const char *text);

#endif
