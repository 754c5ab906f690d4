/* The data set: image folders, tar shards, lists and single images as one numbered sequence of pictures with random access. */
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
    bool nuls;                  /* the lists are NUL-terminated paths instead */
    const char *subset;         /* file of names: only pictures named in it are used; NULL: all */
    const char *labels;         /* file of names and labels, replacing those of folders, shards and lists; NULL: none */
    int64_t every;              /* of the remaining pictures, only number 0, every, 2 every, ...; 0: all */
    bool keep_cut;              /* truncated shards are accepted, with their complete pictures */
    const char *listing;        /* cache file of the folder listing (listing.h); all operands must be folders; NULL: none */
    int jobs;                   /* threads that list folders */
} tw_source_options;

/* Finds the pictures. o is used only during the call. NULL and tw_error() naming the operand (missing, empty, unreadable, damaged).
 *
 * Folders: as torchvision's ImageFolder. The first-level subfolders, sorted, are the classes; pictures anywhere below one belong to it, sorted by
 * folder, then name; pictures beside class folders are ignored. A folder without subfolders of pictures has no labels. A picture is a file whose name
 * tw_picture_name accepts (torchvision's endings and those of further formats); hidden names are ignored.
 * Shards (name ending in .tar): members.h, shard.h. A member without a .cls member has its folder's name as class, unless all these folders have the
 * same name and no other source has class folders.
 * Labels: equal class names of several sources are one class. In lists, .cls members and label files, if all are integers from 0 to 2^20 they are the
 * labels themselves; else they are class names, numbered in sorted order; together with class folders they are always names. Labels are
 * used only if every picture has one. Formats of these files: rows.h; how names match pictures: names.h. */
tw_source *tw_source_open(const tw_source_options *o);
void tw_source_close(tw_source *s); /* NULL is allowed */

/* All borrowed until close. */
uint64_t tw_source_count(const tw_source *s);
const char *tw_source_path(const tw_source *s, uint64_t i); /* of a member of a shard: its name there */
int64_t tw_source_label(const tw_source *s, uint64_t i);    /* -1: none */
int tw_source_n_classes(const tw_source *s);                /* -1: no labels */
/* Number of pictures without a label if others have one (all labels are then unused), with the path of the first in *one; else 0. */
uint64_t tw_source_lacking(const tw_source *s, const char **one);
const char **tw_source_classes(const tw_source *s);

/* A checksum, above 0, of names, labels and order: CRC-32C over the last two components of each path with their NUL and its label (i64,
 * little-endian). Copies of a data set at different places have the same one. */
int64_t tw_source_checksum(const tw_source *s);

/* Where the bytes of picture i are: a whole file (*length -1), or *length bytes from *offset on in a shard. *path is borrowed until close. */
void tw_source_where(const tw_source *s, uint64_t i, const char **path, int64_t *offset, int64_t *length);

/* Reads the undecoded picture i into *block (owned by the caller, grows as needed; *cap: its capacity; *size: bytes read). Thread-safe for
 * different blocks. 0, or -1 and tw_error() without the picture's path. */
int tw_source_read(const tw_source *s, uint64_t i, void **block, size_t *cap, size_t *size);

#endif
