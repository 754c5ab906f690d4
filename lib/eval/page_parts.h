/* Inside lib/eval: the tables of the report. */
#ifndef TW_EVAL_PAGE_PARTS_H
#define TW_EVAL_PAGE_PARTS_H

#include "eval/page.h"

#include <stdio.h>

/* The name of the class (its number where it has none); for class -1 "cluster K". */
void tw_page_class(FILE *f, const tw_page *p, int class, int cluster);

/* How labels (rows) and the classes of the clusters (columns) meet, as an SVG. Nothing without labels and a match. */
int tw_page_confusion(FILE *f, const tw_page *p);

/* count[C,C+1], C the match's classes: samples of a label by the class of their cluster, those of clusters without a class in the
 * last column. NULL and tw_error(). Free with free(). */
int64_t *tw_page_counts(const tw_page *p);

typedef struct {
    int cluster;
    int64_t samples, right; /* right: with the label that the cluster stands for */
} tw_page_row;

/* All K clusters, the largest first. NULL and tw_error(). Free with free(). */
tw_page_row *tw_page_largest(const tw_page *p);

/* The largest clusters: how many samples, what class, how many of them have that label; a link to the sheet of those that
 * sheet[K] says have one. */
int tw_page_clusters(FILE *f, const tw_page *p, const bool *sheet);

#endif
