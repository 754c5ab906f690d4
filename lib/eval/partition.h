/* How well two labelings a[n], b[n] of the same samples agree, equal to scikit-learn's scores of the same names. Labels are
 * any integers; only which samples share one matters. Each is 1 for equal partitions. NaN and tw_error() where memory
 * runs out. */
#ifndef TW_EVAL_PARTITION_H
#define TW_EVAL_PARTITION_H

#include <stddef.h>
#include <stdint.h>

double tw_nmi(const int32_t *a, const int32_t *b, size_t n); /* normalised by the arithmetic mean of the entropies */
double tw_ami(const int32_t *a, const int32_t *b, size_t n); /* adjusted by the exact expectation under permutation */
double tw_ari(const int32_t *a, const int32_t *b, size_t n); /* adjusted Rand index */
double tw_fmi(const int32_t *a, const int32_t *b, size_t n); /* Fowlkes-Mallows index */
/* Share of the samples whose class is the commonest one of their cluster. */
double tw_purity(const int32_t *clusters, const int32_t *classes, size_t n);

typedef struct {
    double nmi, ami, ari, fmi, purity;
    int n_clusters, n_classes; /* different labels that occur */
} tw_agreement;

/* All of them at once. 0, or -1 and tw_error(). */
int tw_agree(tw_agreement *out, const int32_t *clusters, const int32_t *classes, size_t n);

#endif
