/* Keys of samples that are paths of pictures, as seen from the current folder. */
#ifndef TW_EVAL_PICTURE_FILE_H
#define TW_EVAL_PICTURE_FILE_H

#include "report/sheet.h"

/* Whether the key is the path of a regular file that can be read. */
bool tw_is_picture_file(const char *key, size_t size);

/* What files are read and decoded with, from one to the next. */
typedef struct tw_picture_files tw_picture_files;
tw_picture_files *tw_picture_files_new(void); /* NULL and tw_error() */
void tw_picture_files_free(tw_picture_files *p); /* NULL is allowed */

/* The picture at that path, upright, reduced as far as a sheet allows, into *t: u8 [H,W,3], borrowed until the next call. false: the
 * key is no path, or what is there is no picture. */
bool tw_picture_file(tw_tensor *t, tw_picture_files *p, const char *key, size_t size);

#endif
