/* The report of twist-cluster: a self-contained HTML page, except for links to the pictures. */
#ifndef TW_EVAL_PAGE_H
#define TW_EVAL_PAGE_H

#include "eval/clusters.h"

enum {
    TW_PAGE_PICTURES = 300, /* pictures shown, evenly spread over the samples */
    TW_PAGE_CLUSTERS = 100, /* clusters listed, the largest first */
    TW_PAGE_SHEET = 48,     /* pictures on a cluster's sheet */
    TW_PAGE_CLASSES = 2000, /* most classes for which a confusion matrix is drawn */
};

typedef struct {
    const tw_clusters *clusters;
    const tw_cluster_scores *scores;
    const tw_match *match; /* NULL: none */
    const char *command;   /* the command line, shown on the page */
} tw_page;

/* Writes FOLDER/report.html (makes the folder): the metrics, the confusion matrix of labels and matched classes, the largest clusters, and pictures
 * with the names of their top 3 clusters' classes. A key that is the path of a readable file (from the current folder) is shown as a picture, by
 * a link relative to FOLDER. Also writes FOLDER/confusion.png, the matrix as a picture, and FOLDER/cluster-K.png for each cluster listed, a
 * sheet of its most probable pictures (k-means: its first ones). 0, or -1 and tw_error(). */
int tw_page_write(const tw_page *p, const char *folder);

#endif
