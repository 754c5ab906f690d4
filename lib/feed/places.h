/* The positions of a farm's stream: the samples of a data set in the order of twist-decode, epoch after epoch, with the substitutes of bad images. */
#ifndef TW_FEED_PLACES_H
#define TW_FEED_PLACES_H

#include "feed/message.h"
#include "source/options.h"
#include "source/order.h"

typedef struct {
    const tw_source *source;
    const char *root;         /* folder below which workers find the files; NULL: the files are sent to them */
    bool shuffle;
    int64_t seed, limit;
    tw_share share;
    int on_error;             /* TW_BAD_... */
} tw_places_options;

typedef struct tw_places tw_places;

/* o->source is borrowed until tw_places_free. NULL and tw_error(), also if a file of the data set is not below the root. */
tw_places *tw_places_new(const tw_places_options *o);
void tw_places_free(tw_places *p); /* NULL is allowed */

int64_t tw_places_count(const tw_places *p); /* positions per epoch: position = epoch * count + place */

/* The sample of a position, sub 0: its own image, k: its k-th substitute; without its file (path ""). The orders of two epochs are kept, so use
 * positions of two consecutive epochs at a time. The key is borrowed until tw_places_free. */
tw_feed_what tw_places_what(tw_places *p, int64_t position, int64_t sub);
/* The same with its file, which needs system calls; what->path is borrowed until the next call. 0, or -1 and tw_error() without the
 * picture's name. */
int tw_places_describe(tw_places *p, int64_t position, int64_t sub, tw_feed_what *what);
/* Reads the undecoded file of such a sample into *block, as tw_source_read. 0, or -1 and tw_error() without its name. */
int tw_places_read(const tw_places *p, const tw_feed_what *what, void **block, size_t *cap, size_t *size);

/* The cause if the image is known to be bad, else NULL. */
const char *tw_places_known(tw_places *p, int64_t position, int64_t sub);
/* Records that the image is bad; code: of TW_FAIL. 1: sub + 1 takes its place; 0: the position stays empty; -1 and tw_error(): no good image is left,
 * or the quarantine file cannot be written. */
int tw_places_bad(tw_places *p, int64_t position, int64_t sub, int code, const char *cause);

/* Sets the quarantine file, which lists images that crash or hang workers, as lines INDEX TAB KEY TAB CAUSE: reads it now, so that these
 * images are left out, and appends further ones as they occur. path is borrowed. 0, or -1 and tw_error(). */
int tw_places_quarantine(tw_places *p, const char *path);

#endif
