/* Whether workers make the same stream: the headers that their commands write are compared. */
#ifndef TW_FEED_AGREE_H
#define TW_FEED_AGREE_H

#include <stddef.h>

/* NULL: record b is a header of views that agrees with header a (a NULL: with the files header that all were given); else what differs, in
 * room. Command lines in their histories are compared without directories and without options that do not change the stream (-j, -q, -v,
 * --progress, --log, --rejects). */
const char *tw_feed_agree(char *room, size_t size, const void *a, size_t a_size, const void *b, size_t b_size);

#endif
