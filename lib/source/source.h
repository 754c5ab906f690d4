/* What samples there are: image folders, tar shards, lists, single images, as one numbered data set that is read at random. */
#ifndef TW_SOURCE_SOURCE_H
#define TW_SOURCE_SOURCE_H

#include "core/opts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tw_source tw_source;

typedef struct {
    const char *const *operand; /* folders, image files and .tar shards, in this order */
    int n_operands;
    tw_strings list;            /* files of `path[TAB label]` lines, "-": standard input */
    bool nuls;                  /* they are of paths ended by NUL bytes */
    const char *subset;         /* file of names: only pictures named in it stay; NULL: all */
    const char *labels;         /* file of names and labels, instead of those of folders, shards and list; NULL: none */
    int64_t every;              /* of what is left only the pictures 0, every, 2 every, ...; 0: all */
    bool keep_cut;              /* shards that end too early have what is there */
    const char *listing;        /* file that keeps the listing of the operands, which are folders then (listing.h); NULL: none */
    int jobs;                   /* threads that list folders */
} tw_source_options;

/* Finds the pictures. A folder is read as torchvision's ImageFolder does: its first-level subfolders, sorted, are the classes, pictures anywhere
 * below them belong to the class, sorted by folder and then name; pictures beside class folders do not count. A folder without subfolders of pictures
 * has no labels. What counts as a picture: tw_picture_name, torchvision's list of endings and those of the other formats that are read; hidden names
 * are passed over. A shard (name ending in .tar): members.h and shard.h; members without a .cls are of their folder's class, but not where these
 * folders are all one and no other source has class folders. Several sources: equal class names are one class. Labels in lists, .cls members and
 * label files: whole numbers up to 2^20, which are the labels themselves, or else names, whose sorted list is the classes; beside folders always
 * names. Labels are known only where every sample has one. Files of labels: rows.h; names in subset and labels: table.h. NULL and tw_error() naming
 * the operand (not there, empty, unreadable, damaged). */
tw_source *tw_source_open(const tw_source_options *o);
void tw_source_close(tw_source *s); /* NULL is allowed */

/* All borrowed until close. */
uint64_t tw_source_count(const tw_source *s);
const char *tw_source_path(const tw_source *s, uint64_t i); /* of a member of a shard: its name there */
int64_t tw_source_label(const tw_source *s, uint64_t i);    /* -1: none */
int tw_source_n_classes(const tw_source *s);                /* -1: no labels */
/* How many have no label where others have one, and so none counts, *one the first of their paths; 0 else. */
uint64_t tw_source_lacking(const tw_source *s, const char **one);
const char **tw_source_classes(const tw_source *s);

/* A checksum above 0 of what is numbered how: CRC-32C over the last two parts of each path, with a NUL, and its label (i64, little-endian). The same
 * data set has the same one wherever it lies. */
int64_t tw_source_checksum(const tw_source *s);

/* Where its bytes are: a file of their own (*length -1), or those from *offset on of a shard. */
void tw_source_where(const tw_source *s, uint64_t i, const char **path, int64_t *offset, int64_t *length);

/* Reads the undecoded picture into *block, which grows as needed (capacity *cap, bytes *size). Thread-safe for different blocks. 0, or
 * -1 and tw_error() without the picture's path. */
int tw_source_read(const tw_source *s, uint64_t i, void **block, size_t *cap, size_t *size);

#endif
