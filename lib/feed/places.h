/* The positions of a farm: the samples of a data set in the order of twist-decode, epoch after epoch, with what takes the place of bad images. */
#ifndef TW_FEED_PLACES_H
#define TW_FEED_PLACES_H

#include "feed/message.h"
#include "source/options.h"
#include "source/order.h"

typedef struct {
    const tw_source *source;
    const char *root;         /* the folder below which workers find the files; NULL: files are shipped */
    bool shuffle;
    int64_t seed, limit;
    tw_share share;
    int on_error;             /* TW_BAD_... */
} tw_places_options;

typedef struct tw_places tw_places;

/* NULL and tw_error(): also where a file of the data set is not below the root. o->source must live until tw_places_free. */
tw_places *tw_places_new(const tw_places_options *o);
void tw_places_free(tw_places *p); /* NULL is allowed */

int64_t tw_places_count(const tw_places *p); /* of an epoch: position = epoch * count + place */

/* What the position is about, choice number sub (0: its own image), but not where its file is: path "". Of two epochs in a row at a time; the key is
 * borrowed until tw_places_free. */
tw_feed_what tw_places_what(tw_places *p, int64_t position, int64_t sub);
/* The same with its file, for which the file system is asked; path is borrowed until the next call. 0, or -1 and tw_error() without
 * its name. */
int tw_places_describe(tw_places *p, int64_t position, int64_t sub, tw_feed_what *what);
/* The undecoded file of a described sample, into *block. 0, or -1 and tw_error() without its name. */
int tw_places_read(const tw_places *p, const tw_feed_what *what, void **block, size_t *cap, size_t *size);

/* The cause if the image is known to be bad, else NULL. */
const char *tw_places_known(tw_places *p, int64_t position, int64_t sub);
/* It is bad from now on. 1: choice sub+1 takes its place; 0: the place stays empty; -1 and tw_error(): no image is left. */
int tw_places_bad(tw_places *p, int64_t position, int64_t sub, int code, const char *cause);

/* The file of images that crash or hang their workers: lines index TAB key TAB cause, added to and read again, so that the same images
 * are left out at every start. 0, or -1 and tw_error(). */
int tw_places_quarantine(tw_places *p, const char *path);

#endif
