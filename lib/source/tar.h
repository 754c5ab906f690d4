/* Members of tar archives, one after the other: POSIX ustar and pax, GNU tar and the old format. Every number is checked; names are only
 * ever names (nothing is unpacked to disk). */
#ifndef TW_SOURCE_TAR_H
#define TW_SOURCE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the archive's bytes come from: copies up to n bytes to `to`, or steps over them if that is NULL. How many there were; less
 * than n: the end; -1 and tw_error(). */
typedef int64_t tw_tar_source(void *context, void *to, int64_t n);

typedef struct {
    tw_tar_source *source;
    void *context;
    int64_t at;        /* bytes of the archive read or stepped over so far */
    int64_t left;      /* of the last member and its padding, not read yet */
    char *name;        /* of the last member; owned */
    char *link;        /* its target, of a link; owned */
    char *long_name, *long_link; /* from extension headers, for the next member; owned */
    int64_t pax_size;  /* likewise, -1: none */
} tw_tar;

typedef struct {
    const char *name;  /* without a leading "./"; borrowed until the next call */
    int64_t at, size;  /* of its content in the archive; of a link, which has none: where it would be, 0 */
    const char *link;  /* of a link: what it leads to, as it is written there; else NULL; borrowed likewise */
    bool symbolic;
} tw_tar_member;

void tw_tar_init(tw_tar *t, tw_tar_source *source, void *context);
void tw_tar_fini(tw_tar *t);

/* Steps to the next regular file or link (folders and devices are passed over). 1; 0 at the archive's end mark; -1 and tw_error() with
 * the byte: damaged, cut (also where only the end mark is missing), or sparse. */
int tw_tar_next(tw_tar *t, tw_tar_member *m);

/* Reads the content of the last member, all size bytes, once. 0, or -1 and tw_error(). */
int tw_tar_read(tw_tar *t, void *to, int64_t size);

#endif
