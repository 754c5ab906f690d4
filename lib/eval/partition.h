/* The agreement of two labelings of the same samples, by scikit-learn's scores of the same names. */
#ifndef TW_EVAL_PARTITION_H
#define TW_EVAL_PARTITION_H

#include <stddef.h>
#include <stdint.h>

/* Each is 1 for equal partitions. */
typedef struct {
    double nmi;    /* mutual information, normalised by the arithmetic mean of the entropies */
    double ami;    /* adjusted mutual information, by its exact expectation under permutation */
    double ari;    /* adjusted Rand index */
    double fmi;    /* Fowlkes-Mallows index */
    double purity; /* share of the samples whose class is the most frequent one in their cluster */
} tw_agreement;

/* Scores clusters [n] against classes [n]. Labels may be any integers: only which samples share one matters. 0, or -1 and tw_error(). */
int tw_agree(tw_agreement *out, const int32_t *clusters, const int32_t *classes, size_t n);

#endif
