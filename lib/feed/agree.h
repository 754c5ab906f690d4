/* Compares the stream headers written by the workers' commands: all workers must make the same stream. */
#ifndef TW_FEED_AGREE_H
#define TW_FEED_AGREE_H

#include <stddef.h>

/* NULL if record b is the header of a views stream that agrees with header a; else a text that says what differs (in `room` of `size` bytes, or
 * static). a: the first worker's views header, or the header of the files stream, with which the histories are not compared. Command lines in the
 * histories are compared without the programs' folders and without options that do not change the stream (-j, -q, -v, --progress, --log,
 * --rejects). */
const char *tw_feed_agree(char *room, size_t size, const void *a, size_t a_size, const void *b, size_t b_size);

#endif
