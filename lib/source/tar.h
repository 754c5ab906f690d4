/* Reads the members of a tar archive in sequence: POSIX ustar and pax, GNU and old formats. Every number is checked; nothing is unpacked to
 * disk. */
#ifndef TW_SOURCE_TAR_H
#define TW_SOURCE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Supplies the archive's bytes: copies n bytes to `to`, or skips them if `to` is NULL. Returns the number of bytes; less than n at the end; -1 and
 * tw_error(). */
typedef int64_t tw_tar_source(void *context, void *to, int64_t n);

typedef struct {
    tw_tar_source *source;
    void *context;
    int64_t at;        /* bytes of the archive read or skipped so far */
    int64_t left;      /* unread bytes of the last member and its padding */
    char *name;        /* of the last member; owned */
    char *link;        /* target of the last member if it is a link; owned */
    char *long_name, *long_link; /* from extension headers, for the next member; owned */
    int64_t pax_size;  /* likewise; -1: none */
} tw_tar;

typedef struct {
    const char *name;  /* without a leading "./"; borrowed until the next call */
    int64_t at, size;  /* offset and size of its content in the archive; a link has size 0 */
    const char *link;  /* of a link: the target as written in the archive, borrowed likewise; else NULL */
    bool symbolic;
} tw_tar_member;

/* Prepares t to read from source; allocates nothing. */
void tw_tar_init(tw_tar *t, tw_tar_source *source, void *context);
void tw_tar_fini(tw_tar *t);

/* Advances to the next regular file or link (folders and devices are skipped). 1; 0 at the archive's end mark; -1 and tw_error(), usually with the
 * byte offset: damaged, truncated (also if only the end mark is missing), or a sparse member. */
int tw_tar_next(tw_tar *t, tw_tar_member *m);

/* Reads the next `size` bytes of the last member's content. 0, or -1 and tw_error(). */
int tw_tar_read(tw_tar *t, void *to, int64_t size);

#endif
