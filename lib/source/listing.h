/* The listing of image folders kept in a file, so that the next run need not walk through millions of files. */
#ifndef TW_SOURCE_LISTING_H
#define TW_SOURCE_LISTING_H

#include "source/entries.h"

/* Appends the pictures of the folders to e, which is empty: from the file, if it lists these very folders and none of them or of those
 * below has changed since, else by walking, and then the file is made anew. 0, or -1 and tw_error(). */
int tw_listing_walk(tw_entries *e, const char *file, const char *const *folder, int n, int jobs);

#endif
