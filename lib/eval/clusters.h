/* The clusters that the samples of a features stream belong to, and how well they agree with the labels. */
#ifndef TW_EVAL_CLUSTERS_H
#define TW_EVAL_CLUSTERS_H

#include "eval/partition.h"
#include "eval/roster.h"

enum { TW_TOP = 5 };

typedef struct {
    tw_roster who;
    int K;
    int32_t *top; /* [n,TW_TOP]: the most probable (nearest) clusters, the first one being the sample's own; -1 beyond K */
    float *prob;  /* [n,TW_TOP]: their probabilities, 0 beyond K; NULL for k-means */
    size_t top_cap, prob_cap;
} tw_clusters;

/* Reads the whole stream's `probs`, or where the first sample has none its `logits` (softmax): memory is n * (56 bytes and the
 * key). Of equal ones the lower cluster comes first. Refused, naming the sample: one without them, of another length than the
 * first, with a value that is not finite. 0, or -1 and tw_error(). */
int tw_clusters_read(tw_clusters *c, const char *endpoint);
void tw_clusters_fini(tw_clusters *c);

typedef struct {
    int used;              /* clusters that some sample belongs to */
    tw_agreement agree;    /* the rest: of the samples with labels; NaN where there are none */
    double acc, acc5;      /* share whose label is the class of their own, of one of their TW_TOP clusters */
} tw_cluster_scores;

/* to[K]: the class of each cluster, -1: none; NULL: there is no match, acc and acc5 are NaN. 0, or -1 and tw_error(). */
int tw_clusters_score(tw_cluster_scores *s, const tw_clusters *c, const int *to);

/* What cluster stands for what class. */
typedef struct {
    int K, C;
    int *to;         /* [K], -1: none */
    int named;       /* names in classes: C, or 0 */
    char **classes;
} tw_match;

/* The one-to-one match by which most of the labelled samples agree (tw_match_classes). 0, or -1 and tw_error(). */
int tw_match_find(tw_match *m, const tw_clusters *c);

/* As JSON: {"clusters": K, "classes": [names] or null, "n_classes": C, "match": [class or null of each cluster]}. Reading refuses
 * another number of clusters than c's, classes beyond n_classes; several clusters may have one class. Where both have names of classes,
 * c's labels become those of the match's classes by name, and *lost of them, of other names, are no labels any more. In
 * the place of JSON it takes a classifier that names its classes (twist-linear's, twist-finetune's), whose output k is class k. 0,
 * or -1 and tw_error() naming the file. */
int tw_match_write(const tw_match *m, const char *path);
int tw_match_read(tw_match *m, const char *path, tw_clusters *c, int64_t *lost);
void tw_match_fini(tw_match *m);

#endif
