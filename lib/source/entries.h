/* A growing list of paths, each with an optional class name, compact enough for tens of millions: 16 bytes and the path per entry, 24 more for a
 * member of a tar. */
#ifndef TW_SOURCE_ENTRIES_H
#define TW_SOURCE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t at;           /* offset of the path in tw_entries.block */
    uint32_t file : 31;  /* offset of the file name in the path */
    uint32_t in_tar : 1; /* a tw_span is stored before the path */
    int32_t label;       /* number of the class name, -1: none */
} tw_entry;

/* Where a member of a tar is: offset and size of its content, number of the shard. */
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
    int hashed;    /* number of names in the table; -1: it must be rebuilt */
} tw_entries;

/* Whether a file of that name counts as a picture: it ends in .jpg, .jpeg, .png, .webp, .gif, .bmp, .ppm, .pgm, .pbm, .pnm, .tif or .tiff,
 * in upper or lower case. */
bool tw_picture_name(const char *name);

/* Append an entry; path and span are copied. 0, or -1 and tw_error(). */
int tw_entries_add(tw_entries *e, const char *path, int32_t label);
int tw_entries_add_member(tw_entries *e, const char *name, int32_t label, const tw_span *span);
/* The number of a class name, which is added if it is new. -1 and tw_error() if memory is short. */
int32_t tw_entries_class(tw_entries *e, const char *name);

/* Appends copies of all entries of another list, with this label. 0, or -1 and tw_error(). */
int tw_entries_append(tw_entries *e, const tw_entries *from, int32_t label);

/* Borrowed until the next entry is added. */
const char *tw_entries_path(const tw_entries *e, size_t i);
/* Whether the i-th entry is a member of a tar; if so, *span is set. */
bool tw_entries_span(const tw_entries *e, size_t i, tw_span *span);
/* Sorts the entries from number `from` on by class name, then folder, then file name, in byte order. */
void tw_entries_sort(tw_entries *e, size_t from);

enum { TW_MAX_NUMBER = 1 << 20 };
/* Renumbers the classes in the byte order of their names. 0, or -1 and tw_error(). */
int tw_entries_sort_classes(tw_entries *e);
/* If all class names are integers from 0 to TW_MAX_NUMBER, makes these numbers the labels and "0", "1", ... up to the largest the classes. 1: done;
 * 0: not all are such numbers, nothing changed; -1 and tw_error(). */
int tw_entries_number_classes(tw_entries *e);
/* Warns if all class names are integers but some are out of that range, so that they are used as names. file: their origin, for the message; NULL:
 * members of shards. */
void tw_entries_tell_names(const tw_entries *e, const char *file);
/* Drops the class names; the entries' labels are invalid until set again. */
void tw_entries_forget_classes(tw_entries *e);
void tw_entries_fini(tw_entries *e);

#endif
