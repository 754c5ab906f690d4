/* safetensors files (format of huggingface/safetensors 0.4 and later): 8 bytes of little-endian header length, a JSON header of at most 100 MB, the
 * tensors' bytes without holes or overlaps. All element types are known except those of less than 8 bits and the rarer ones of 8. Invalid files
 * (wrong lengths, overlaps, holes, unknown types) are refused with a message naming the file and the tensor. */
#ifndef TW_CHECKPOINT_SAFETENSORS_H
#define TW_CHECKPOINT_SAFETENSORS_H

#include "core/tensor.h"

#include <stdbool.h>

typedef struct tw_safetensors tw_safetensors;

typedef struct {
    const char *name;
    tw_tensor tensor;
} tw_named_tensor;

/* Writes the tensors and n_meta pairs (key, value) of metadata, temp + sync + rename. The header lists the tensors in the given order; their bytes
 * are stored by descending element size, as the Python package does, for alignment (PyTorch refuses views of unaligned 8-byte elements). If the
 * metadata have no "format", {"format": "pt"} is added first, as transformers refuses files without. 0, or -1 and tw_error(), the old file left
 * as it was. */
int tw_safetensors_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);

/* Maps a regular file for reading. NULL and tw_error(). Tensors, names and metadata are borrowed until close; a tensor's data may
 * be unaligned. at() numbers the tensors in the header's order, in one array; that no name appears twice is checkpoint.h's to check. */
tw_safetensors *tw_safetensors_open(const char *path);
int tw_safetensors_count(const tw_safetensors *s);
const tw_named_tensor *tw_safetensors_at(const tw_safetensors *s, int i);
const char *tw_safetensors_meta(const tw_safetensors *s, const char *key); /* NULL: absent */
/* Pair i of the metadata in the file's order; false: i is beyond the last. */
bool tw_safetensors_meta_at(const tw_safetensors *s, int i, const char **key, const char **value);
void tw_safetensors_close(tw_safetensors *s); /* NULL is allowed */

#endif
