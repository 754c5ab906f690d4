/* The clusters of the samples of a features stream, and their agreement with the labels. */
#ifndef TW_EVAL_CLUSTERS_H
#define TW_EVAL_CLUSTERS_H

#include "eval/partition.h"
#include "eval/roster.h"

enum { TW_TOP = 5 };

typedef struct {
    tw_roster who;
    int K;
    int32_t *top; /* [n,TW_TOP]: the most probable (k-means: nearest) clusters, the first is the sample's own; -1 if K < TW_TOP */
    float *prob;  /* [n,TW_TOP]: their probabilities, 0 beyond K; NULL for k-means */
    size_t top_cap, prob_cap;
} tw_clusters;

/* Reads the whole stream's `probs`, or, if the first sample has none, the softmax of its `logits`. Memory: n * (56 bytes and the key). Of equal
 * probabilities the lower cluster comes first. Refuses, naming it, a sample without them, of another length than the first, or with a value
 * that is not finite. 0, or -1 and tw_error(). */
int tw_clusters_read(tw_clusters *c, const char *endpoint);
void tw_clusters_fini(tw_clusters *c);

typedef struct {
    int used;              /* number of clusters with a sample */
    tw_agreement agree;    /* this and acc, acc5: of the samples with labels; NaN without any */
    double acc, acc5;      /* share of samples whose label is the class of their cluster, of one of their TW_TOP clusters */
} tw_cluster_scores;

/* to [K]: the class of each cluster, -1: none; NULL: not known, and acc and acc5 become NaN. 0, or -1 and tw_error(). */
int tw_clusters_score(tw_cluster_scores *s, const tw_clusters *c, const int *to);

/* Which class each cluster stands for. */
typedef struct {
    int K, C;
    int *to;         /* [K], -1: none */
    int named;       /* number of names in classes: C, or 0 */
    char **classes;
} tw_match;

/* The one-to-one match with which the most labelled samples agree (tw_match_classes). 0, or -1 and tw_error(). Free with tw_match_fini. */
int tw_match_find(tw_match *m, const tw_clusters *c);

/* The match as a JSON file: {"clusters": K, "classes": [names] or null, "n_classes": C, "match": [class or null of each cluster]}. Reading refuses
 * another number of clusters than c's, and classes beyond n_classes; several clusters may have the same class. If the match and c both have
 * class names, c's labels are renumbered to the match's classes by name, and the *lost samples whose class it does not have lose their label.
 * Instead of JSON the file may be a classifier with class names (twist-linear's, twist-finetune's), whose output k is class k. 0, or -1 and
 * tw_error() naming the file. */
int tw_match_write(const tw_match *m, const char *path);
int tw_match_read(tw_match *m, const char *path, tw_clusters *c, int64_t *lost);
void tw_match_fini(tw_match *m);

#endif
