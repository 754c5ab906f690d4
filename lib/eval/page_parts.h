/* Inside lib/eval: the tables of the report. */
#ifndef TW_EVAL_PAGE_PARTS_H
#define TW_EVAL_PAGE_PARTS_H

#include "eval/page.h"

#include <stdio.h>

/* The name of the class (its number where it has none); for class -1 "cluster K". */
void tw_page_class(FILE *f, const tw_page *p, int class, int cluster);

/* How labels (rows) and the classes of the clusters (columns) meet, as an SVG. Nothing without labels and a match. */
int tw_page_confusion(FILE *f, const tw_page *p);

/* The largest clusters: how many samples, what class, how many of them have that label. */
int tw_page_clusters(FILE *f, const tw_page *p);

#endif
