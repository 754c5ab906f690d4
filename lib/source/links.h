/* Resolves hard and symbolic links in a tar archive that is read at random. The first lookup walks through the whole archive and keeps the names
 * of all its members in memory, about 40 bytes and the name each. */
#ifndef TW_SOURCE_LINKS_H
#define TW_SOURCE_LINKS_H

#include "source/archive.h"
#include "source/tar.h"

typedef struct {
    size_t name, target; /* offsets in tw_links.names; "." and ".." are removed; target 0: no link */
    int64_t at, size;    /* as in tw_tar_member */
    bool symbolic;
} tw_linked;

typedef struct {
    tw_archive archive;
    bool walked;
    tw_linked *member; /* sorted by name, then by position in the archive */
    size_t n, cap;
    char *names;
    size_t used, names_cap;
} tw_links;

/* fd: the archive, of size bytes; borrowed until fini. */
void tw_links_init(tw_links *l, int fd, int64_t size);
void tw_links_fini(tw_links *l);

/* Sets at and size of a link to those of the file it leads to, also through further links. A hard link leads to the last member of its target's
 * name before it; a symbolic one, relative to its folder, to the last such member in the archive. 1; 0: there is none, or it is not complete; -1 and
 * tw_error(). */
int tw_links_find(tw_links *l, tw_tar_member *link);

/* Reads the content that tw_links_find found, found->size bytes. 0, or -1 and tw_error(). */
int tw_links_read(tw_links *l, void *to, const tw_tar_member *found);

#endif
