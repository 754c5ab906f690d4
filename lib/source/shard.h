/* Tar shards for random access: lists the pictures of a shard, from its index file or by walking through it once. */
#ifndef TW_SOURCE_SHARD_H
#define TW_SOURCE_SHARD_H

#include "source/entries.h"

#include <stdbool.h>

enum { TW_SHARD_FOLDER = -2 }; /* a label: the member's folder name, if folder names are to be classes */

/* Appends the pictures of the open shard (path, fd) to e, in the archive's order, as entries of shard number `shard`. Labels: the class of the .cls
 * member's text, else TW_SHARD_FOLDER if the picture is in a folder, else -1. keep_cut: of a truncated or damaged archive, the pictures before the
 * damage are used; else it is an error. 0, or -1 and tw_error().
 *
 * The index is kept as PATH.index; if its folder is not writable by its mode, or writing fails, or another file has that name, in the user's cache
 * ($XDG_CACHE_HOME/twist or ~/.cache/twist). It is rebuilt if the shard's size or modification time differ from those recorded. */
int tw_shard_add(tw_entries *e, const char *path, int fd, int32_t shard, bool keep_cut);

#endif
