/* Inside lib/eval: the pictures of the report. */
#ifndef TW_EVAL_PAGE_PICTURES_H
#define TW_EVAL_PAGE_PICTURES_H

#include "eval/page.h"

/* Writes FOLDER/confusion.png: a row per label, a column per class and one for clusters without a class, from white to black by the share of the row.
 * Nothing without labels and a match, or with more than TW_PAGE_CLASSES classes. 0, or -1 and tw_error(). */
int tw_page_confusion_png(const tw_page *p, const char *folder);

/* Writes FOLDER/cluster-K.png for each of the TW_PAGE_CLUSTERS largest clusters, from samples whose keys are readable pictures. Sets sheet [K]:
 * whether the cluster has a sheet. 0, or -1 and tw_error(). */
int tw_page_sheets(bool *sheet, const tw_page *p, const char *folder);

#endif
