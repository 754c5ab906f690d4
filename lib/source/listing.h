/* A cache file for the listing of image folders, so that the next run need not walk through millions of files. */
#ifndef TW_SOURCE_LISTING_H
#define TW_SOURCE_LISTING_H

#include "source/entries.h"

/* Appends the pictures of the n folders to e, which must be empty: from `file` if it lists these folders and none of them or of their subfolders
 * has changed since, else by walking with `jobs` threads; then `file` is rewritten. 0, or -1 and tw_error(). */
int tw_listing_walk(tw_entries *e, const char *file, const char *const *folder, int n, int jobs);

#endif
