/* The pictures of a tar archive with their labels. As in WebDataset shards, consecutive members whose names are equal up to the first dot of the
 * file name form a group: KEY.jpg, KEY.cls (the label: a number or a name). */
#ifndef TW_SOURCE_MEMBERS_H
#define TW_SOURCE_MEMBERS_H

#include "source/links.h"
#include "source/tar.h"

typedef struct {
    char *name;
    int64_t at, size; /* offset and size of its content in the archive */
    void *bytes;      /* its content; NULL if contents are not kept */
} tw_picture;

typedef struct {
    tw_tar tar;
    bool keep;           /* contents are read and kept */
    tw_links *links;     /* resolves links in the archive; NULL: links are not followed */
    size_t lost;         /* links of pictures and labels that were left out: not followed, or without a target */
    char *first_lost;    /* the name of the first; owned */
    size_t astray;       /* groups with a label but no picture */
    char *first_astray;  /* the key of the first; owned */
    char *key;           /* of the current group; NULL: none yet */
    tw_picture *picture; /* of the current group; [given, n) are still to be returned */
    size_t n, cap, given;
    char label[256];     /* "": none */
    bool described;      /* the group has members that are not pictures */
    bool sample;         /* pictures with two endings are left out: described, and there is a picture with one ending */
    bool done, ended;    /* the current group is complete; the archive is at its end */
    tw_tar_member next;  /* the first member after the group, if done and not ended */
} tw_members;

/* source, context: the archive. keep: read the contents. links: resolver of the same archive, borrowed, only without keep; NULL: links are left
 * out. */
void tw_members_init(tw_members *m, tw_tar_source *source, void *context, bool keep, tw_links *links);
void tw_members_fini(tw_members *m);

/* The next picture in the archive's order: a member whose name tw_picture_name accepts and does not begin with a dot. In a group that also has
 * members that are not pictures, those with two endings (KEY.seg.png beside KEY.jpg) are left out. *label: text of the group's .cls member without
 * surrounding white space, or NULL. Both are borrowed until the next call; the caller may take over name or bytes by setting them to NULL.
 * 1; 0 at the end; -1 and tw_error(). */
int tw_members_next(tw_members *m, tw_picture **p, const char **label);

/* Warns of links left out and of labels without a picture. which: describes these links in the message ("that lead to ..."). Whether there were
 * any. */
bool tw_members_tell_lost(const tw_members *m, const char *archive, const char *which);

/* The name of the member's innermost folder, borrowed from name, *n bytes long; NULL if it has none, or that is "." or "..". */
const char *tw_member_folder(const char *name, size_t *n);

#endif
