/* Opens files whose names come from another machine, confined to a folder. */
#ifndef TW_FEED_BELOW_H
#define TW_FEED_BELOW_H

#include <stddef.h>
#include <stdint.h>

/* Reads `length` bytes from `offset` on (length -1: the whole file), at most `most`, of a regular file below the folder (a descriptor) into a new
 * *block of *size bytes, which the caller frees. Paths and symbolic links that lead out of the folder are refused. 0, or -1 and tw_error() without
 * the path. */
int tw_below_read(int folder, const char *path, int64_t offset, int64_t length, int64_t most, void **block, size_t *size);

#endif
