/* Pictures of samples whose keys are paths of picture files, relative to the current folder. */
#ifndef TW_EVAL_PICTURE_FILE_H
#define TW_EVAL_PICTURE_FILE_H

#include "report/sheet.h"

/* Whether the key is the path of a regular file that can be read. */
bool tw_is_picture_file(const char *key, size_t size);

/* The decoder and buffers, reused from file to file. */
typedef struct tw_picture_files tw_picture_files;
tw_picture_files *tw_picture_files_new(void); /* NULL and tw_error() */
void tw_picture_files_free(tw_picture_files *p); /* NULL is allowed */

/* Reads the picture at that path, upright, at the smallest scale that is enough for a sheet: *t is u8 [H,W,3], borrowed until the next call. false:
 * the key is not a path, or the file not a picture. */
bool tw_picture_file(tw_tensor *t, tw_picture_files *p, const char *key, size_t size);

#endif
