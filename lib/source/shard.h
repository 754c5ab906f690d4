/* Tar shards that are read at random: what pictures are in one, from its index or by walking through it once. */
#ifndef TW_SOURCE_SHARD_H
#define TW_SOURCE_SHARD_H

#include "source/entries.h"

#include <stdbool.h>

enum { TW_SHARD_FOLDER = -2 }; /* for a label: the name of the folder that the member is in, if that is to be a class */

/* Appends the pictures of the open shard to e, in the archive's order, as entries of shard number `shard`; labels: the .cls members' text, else
 * TW_SHARD_FOLDER where the picture is in a folder, else none. The index is kept beside the shard (PATH.index) or, where the folder's mode
 * forbids that even to its owner, it cannot be written or there is another file of that name, in the user's cache ($XDG_CACHE_HOME/twist or
 * ~/.cache/twist), and made anew where it is not that of the shard as it is (size, time of change). keep_cut: an archive that ends too early has
 * what is there. 0, or -1 and tw_error(). */
int tw_shard_add(tw_entries *e, const char *path, int fd, int32_t shard, bool keep_cut);

#endif
