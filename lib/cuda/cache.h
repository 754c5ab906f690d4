/* A cache of execution plans on disk, so that each shape is timed only once per machine: in $XDG_CACHE_HOME/twist (or ~/.cache/twist) a file per
 * device, cuDNN version and format, with a line per plan: key, CRC-32C of the text, text, separated by tabs. Processes append whole lines; lines
 * whose checksum is wrong are ignored. If there is no such folder, plans are kept in memory only. */
#ifndef TW_CUDA_CACHE_H
#define TW_CUDA_CACHE_H

typedef struct tw_dnn_cache tw_dnn_cache;

/* device: text with the names of the device and the libraries' versions. NULL and tw_error(): out of memory. */
tw_dnn_cache *tw_dnn_cache_open(const char *device);
void tw_dnn_cache_close(tw_dnn_cache *c); /* NULL is allowed */

/* The text added last for the key; borrowed until the next add. NULL: none. */
const char *tw_dnn_cache_find(const tw_dnn_cache *c, const char *key);
/* Adds the text, on disk too if possible. A text that contains a tab or line feed is not added. */
void tw_dnn_cache_add(tw_dnn_cache *c, const char *key, const char *text);

#endif
