/* A growing list of paths with the name of a class each, compact enough for tens of millions: 16 bytes and the path, 24 more for a
 * member of a tar. */
#ifndef TW_SOURCE_ENTRIES_H
#define TW_SOURCE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t at;           /* of the path in the block */
    uint32_t file : 31;  /* where the file's name begins in it */
    uint32_t in_tar : 1; /* its tw_span stands before the path */
    int32_t label;       /* number of the class name, -1: none */
} tw_entry;

/* Where a member of a tar is. */
typedef struct {
    int64_t at, size;
    int32_t shard;
} tw_span;

typedef struct {
    tw_entry *entry;
    size_t n, cap;
    char *block;
    size_t used, block_cap;
    char **name; /* class names in the order of their first use; entries refer to them by number */
    int names;
    size_t names_cap;
    int32_t *slot; /* a hash table of the names: numbers, -1 where free */
    size_t slots;  /* a power of two */
    int hashed;    /* names that the table knows; -1: it must be made anew */
} tw_entries;

/* Whether a file of that name counts as a picture: it ends in .jpg, .jpeg, .png, .webp, .gif, .bmp, .ppm, .pgm, .pbm, .pnm, .tif or .tiff,
 * in upper or lower case. */
bool tw_picture_name(const char *name);

/* Each 0, or -1 and tw_error(). */
int tw_entries_add(tw_entries *e, const char *path, int32_t label);
int tw_entries_add_member(tw_entries *e, const char *name, int32_t label, const tw_span *span);
/* The number of a class name, which is added if it is new: -1 where memory runs out. */
int32_t tw_entries_class(tw_entries *e, const char *name);

/* Appends copies of all entries of another list, with that label. */
int tw_entries_append(tw_entries *e, const tw_entries *from, int32_t label);

const char *tw_entries_path(const tw_entries *e, size_t i);
/* Whether the i-th is a member of a tar, and then where. */
bool tw_entries_span(const tw_entries *e, size_t i, tw_span *span);
/* Sorts the entries from the i-th on by the class's name, then the folder, then the file's name, byte by byte. */
void tw_entries_sort(tw_entries *e, size_t from);

enum { TW_MAX_NUMBER = 1 << 20 };
/* Numbers the classes anew in the order of their names, byte by byte. */
int tw_entries_sort_classes(tw_entries *e);
/* Where all names are whole numbers up to TW_MAX_NUMBER: these are the labels, and the classes are 0, 1, ... up to the largest. 1: done;
 * 0: they are not all; -1 and tw_error(). */
int tw_entries_number_classes(tw_entries *e);
/* Where they are all numbers, but not all of those, and so stay names: warns of it. file: what they are from; NULL: members of shards. */
void tw_entries_tell_names(const tw_entries *e, const char *file);
/* Drops the class names; the entries' labels mean nothing until they are set anew. */
void tw_entries_forget_classes(tw_entries *e);
void tw_entries_fini(tw_entries *e);

#endif
