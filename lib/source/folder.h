/* Walking image folders. */
#ifndef TW_SOURCE_FOLDER_H
#define TW_SOURCE_FOLDER_H

#include "source/entries.h"

/* Appends the pictures of a folder to e as tw_source_open describes, reading class folders with `jobs` threads. folders (may be NULL)
 * receives every folder read, with its modification time as the span (at: seconds, size: nanoseconds). 0, or -1 and tw_error(). */
int tw_folder_walk(tw_entries *e, tw_entries *folders, const char *folder, int jobs);

#endif
