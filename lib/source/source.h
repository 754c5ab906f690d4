/* What samples there are: image folders, lists, single images, as one numbered data set. */
#ifndef TW_SOURCE_SOURCE_H
#define TW_SOURCE_SOURCE_H

#include <stdint.h>

typedef struct tw_source tw_source;

typedef struct {
    const char *const *operand; /* folders and image files, in this order */
    int n_operands;
    const char *list;           /* file of `path[TAB label]` lines, "-": standard input; NULL: none */
    const char *subset;         /* file of names: only pictures named in it stay; NULL: all */
    const char *labels;         /* file of `path-or-name TAB label` lines, instead of the folders' labels; NULL: none */
} tw_source_options;

/* Finds the pictures. A folder is read as torchvision's ImageFolder does: its first-level subfolders, sorted, are the classes,
 * pictures anywhere below them belong to the class, sorted by folder and then name; pictures beside class folders do not count.
 * A folder without subfolders of pictures has no labels. What counts as a picture there: torchvision's list of name endings;
 * hidden names are passed over. Several folders: equal class names are one class. Labels in lists and label files: whole numbers
 * up to 2^20, which are the labels themselves, or else names, whose sorted list is the classes; beside a folder with classes always
 * names. Labels are known only where every sample has one. Names in subset and labels match a path or what follows any of its
 * slashes.
 * NULL and tw_error() naming the operand (not there, empty, unreadable, a tar archive). */
tw_source *tw_source_open(const tw_source_options *o);
void tw_source_close(tw_source *s); /* NULL is allowed */

/* All borrowed until close. */
uint64_t tw_source_count(const tw_source *s);
const char *tw_source_path(const tw_source *s, uint64_t i);
int64_t tw_source_label(const tw_source *s, uint64_t i); /* -1: none */
int tw_source_n_classes(const tw_source *s);             /* -1: no labels */
const char **tw_source_classes(const tw_source *s);

#endif
