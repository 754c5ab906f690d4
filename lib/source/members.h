/* The pictures of a tar archive with what their neighbours say about them. Members whose names are the same up to the first dot of the
 * file's name belong together, as in WebDataset's shards: KEY.jpg, KEY.cls (the label: a number or a name). */
#ifndef TW_SOURCE_MEMBERS_H
#define TW_SOURCE_MEMBERS_H

#include "source/links.h"
#include "source/tar.h"

typedef struct {
    char *name;
    int64_t at, size; /* of its content in the archive */
    void *bytes;      /* its content; NULL where contents are not kept */
} tw_picture;

typedef struct {
    tw_tar tar;
    bool keep;           /* contents are read and kept */
    tw_links *links;     /* of the archive, to follow its links with; NULL: they are not followed */
    size_t lost;         /* links of pictures and labels that were not followed or lead nowhere, which are left out */
    char *first_lost;    /* the name of the first; owned */
    size_t astray;       /* groups of a label without a picture */
    char *first_astray;  /* the key of the first; owned */
    char *key;           /* of the members in hand; NULL: none yet */
    tw_picture *picture; /* those in hand: [given, n) are still to be handed out */
    size_t n, cap, given;
    char label[256];     /* "": none */
    bool described;      /* there are members that are no pictures */
    bool sample;         /* pictures with two endings are no samples: beside such members there is one without */
    bool done, ended;    /* the group in hand is whole; the archive is at its end */
    tw_tar_member next;  /* the first member after the group, if done and not ended */
} tw_members;

/* links: NULL, or where contents are not kept those of the same archive, which stay the caller's. */
void tw_members_init(tw_members *m, tw_tar_source *source, void *context, bool keep, tw_links *links);
void tw_members_fini(tw_members *m);

/* The next picture in the archive's order: a member whose name ends in .jpg, .jpeg, .png, .webp, .gif, .bmp, .ppm, .pgm, .pbm, .pnm, .tif or .tiff;
 * in a group with members that are no pictures, those with two endings (KEY.seg.png beside KEY.jpg) are left out. *label: its .cls member's text
 * without white space around it, NULL if there is none; both are borrowed until the next call, but bytes may be taken (set it to NULL then). 1; 0 at
 * the end; -1 and tw_error(). */
int tw_members_next(tw_members *m, tw_picture **p, const char **label);

/* Warns of the links that are left out and of labels that have no picture beside them. which: which links these are, "that lead to ...". Whether
 * there are any. */
bool tw_members_tell_lost(const tw_members *m, const char *archive, const char *which);

/* The name of the folder that the member is in, its length in *n; NULL if it is in none (or that is "." or ".."). */
const char *tw_member_folder(const char *name, size_t *n);

#endif
