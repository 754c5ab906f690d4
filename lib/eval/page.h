/* The report of twist-cluster: one HTML page that needs nothing else but the pictures where they lie. */
#ifndef TW_EVAL_PAGE_H
#define TW_EVAL_PAGE_H

#include "eval/clusters.h"

enum {
    TW_PAGE_PICTURES = 300, /* shown, evenly spread over the samples */
    TW_PAGE_CLUSTERS = 100, /* listed, the largest first */
    TW_PAGE_SHEET = 48,     /* pictures on a cluster's sheet */
    TW_PAGE_CLASSES = 2000, /* the most that a confusion matrix is drawn for */
};

typedef struct {
    const tw_clusters *clusters;
    const tw_cluster_scores *scores;
    const tw_match *match; /* NULL: there is none */
    const char *command;   /* the command line that is named on the page */
} tw_page;

/* Writes FOLDER/report.html (making the folder): the metrics, the confusion matrix of labels and matched classes, the largest
 * clusters, and pictures with the TOP 3 clusters of each, by the names of their classes. A key that is the path of a readable file
 * (from the current folder) is shown as a picture, by a link relative to FOLDER. Also FOLDER/confusion.png, the matrix as a picture, and
 * FOLDER/cluster-K.png, a sheet of the pictures of each of the clusters listed, the most probable first (of k-means: the first).
 * 0, or -1 and tw_error(). */
int tw_page_write(const tw_page *p, const char *folder);

#endif
