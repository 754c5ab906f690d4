/* Inside lib/eval: the tables of the report. */
#ifndef TW_EVAL_PAGE_PARTS_H
#define TW_EVAL_PAGE_PARTS_H

#include "eval/page.h"

#include <stdio.h>

/* Prints the class's name, or its number if it has none; for class -1 "cluster K". */
void tw_page_class(FILE *f, const tw_page *p, int class, int cluster);

/* Prints the confusion matrix of labels (rows) and the clusters' classes (columns) as SVG; nothing without labels and a match. 0, or -1 and
 * tw_error(). */
int tw_page_confusion(FILE *f, const tw_page *p);

/* The confusion matrix [C,C+1], C: the match's classes: samples by label and class of their cluster; the last column has those of clusters without a
 * class. NULL and tw_error(). Free with free(). */
int64_t *tw_page_counts(const tw_page *p);

typedef struct {
    int cluster;
    int64_t samples, right; /* right: those whose label is the cluster's class */
} tw_page_row;

/* All K clusters, the largest first. NULL and tw_error(). Free with free(). */
tw_page_row *tw_page_largest(const tw_page *p);

/* Prints the table of the largest clusters: samples, class, how many have it as label, and a link to the sheet if sheet[k]; sheet [K]. 0, or -1 and
 * tw_error(). */
int tw_page_clusters(FILE *f, const tw_page *p, const bool *sheet);

#endif
