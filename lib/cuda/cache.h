/* Plans on disk, so that a shape is timed once per machine: $XDG_CACHE_HOME/twist (or ~/.cache/twist), a file per device and version of
 * cuDNN. A line per plan: key, CRC-32C of the text, text, with tabs between. Processes append whole lines; a line that does not check
 * is left out. Without such a folder nothing is kept. */
#ifndef TW_CUDA_CACHE_H
#define TW_CUDA_CACHE_H

typedef struct tw_dnn_cache tw_dnn_cache;

/* device: device and library versions in words. NULL and tw_error(): no memory. */
tw_dnn_cache *tw_dnn_cache_open(const char *device);
void tw_dnn_cache_close(tw_dnn_cache *c); /* NULL is allowed */

/* The text that was kept last for the key, borrowed; NULL: none. */
const char *tw_dnn_cache_find(const tw_dnn_cache *c, const char *key);
/* Keeps the text, on disk too where that can be done. A text with a tab or a line feed in it is not kept. */
void tw_dnn_cache_add(tw_dnn_cache *c, const char *key, const char *text);

#endif
