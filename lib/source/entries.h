/* A growing list of paths with the name of a class each, compact enough for tens of millions: 16 bytes and the path. */
#ifndef TW_SOURCE_ENTRIES_H
#define TW_SOURCE_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t at;      /* of the path in the block */
    uint32_t file;  /* where the file's name begins in it */
    int32_t label;  /* number of the class name, -1: none */
} tw_entry;

typedef struct {
    tw_entry *entry;
    size_t n, cap;
    char *block;
    size_t used, block_cap;
    char **name; /* class names in the order of their first use; entries refer to them by number */
    int names;
    size_t names_cap;
} tw_entries;

/* Each 0, or -1 and tw_error(). */
int tw_entries_add(tw_entries *e, const char *path, int32_t label);
/* The number of a class name, which is added if it is new: -1 where memory runs out. */
int32_t tw_entries_class(tw_entries *e, const char *name);

const char *tw_entries_path(const tw_entries *e, size_t i);
/* Sorts the entries from the i-th on by folder, then file name, byte by byte. */
void tw_entries_sort(tw_entries *e, size_t from);
/* Numbers the classes anew in the order of their names (as numbers where all are). */
int tw_entries_sort_classes(tw_entries *e);
void tw_entries_fini(tw_entries *e);

/* Appends the pictures of a folder as tw_source_open describes. 0, or -1 and tw_error(). */
int tw_entries_folder(tw_entries *e, const char *folder);

#endif
