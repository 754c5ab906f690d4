/* Where the links in a tar archive lead that is read at random. The first link that is asked for costs a walk through the whole archive; from
 * then on the names of all its members are kept, some 40 bytes and the name each. */
#ifndef TW_SOURCE_LINKS_H
#define TW_SOURCE_LINKS_H

#include "source/archive.h"
#include "source/tar.h"

typedef struct {
    size_t name, target; /* places in the block of names, without "." and ".."; target 0: no link */
    int64_t at, size;    /* as of tw_tar_member */
    bool symbolic;
} tw_linked;

typedef struct {
    tw_archive archive;
    bool walked;
    tw_linked *member; /* sorted by name, of equal names by place */
    size_t n, cap;
    char *names;
    size_t used, names_cap;
} tw_links;

/* fd: the archive, of size bytes; stays open until fini. */
void tw_links_init(tw_links *l, int fd, int64_t size);
void tw_links_fini(tw_links *l);

/* Sets at and size of a link to those of the file it leads to, through other links too: a hard link to the last member of that name before it, a
 * symbolic one to the last of all, seen from its folder. 1; 0: to none that is whole in the archive; -1 and tw_error(). */
int tw_links_find(tw_links *l, tw_tar_member *link);

/* Reads what was found. 0, or -1 and tw_error(). */
int tw_links_read(tw_links *l, void *to, const tw_tar_member *found);

#endif
