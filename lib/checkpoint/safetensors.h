/* safetensors files: 8-byte little-endian header length, JSON header, tensor data. Hostile files (lying lengths, overlaps,
 * holes, unknown types) are refused with a message naming the file and the tensor. */
#ifndef TW_CHECKPOINT_SAFETENSORS_H
#define TW_CHECKPOINT_SAFETENSORS_H

#include "core/tensor.h"

typedef struct tw_safetensors tw_safetensors;

typedef struct {
    const char *name;
    tw_tensor tensor;
} tw_named_tensor;

/* Writes the tensors in the given order and the metadata (pairs key, value; n_meta pairs), temp + sync + rename. */
int tw_safetensors_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);

/* Maps the file for reading. NULL and tw_error(). Tensors are borrowed until close. */
tw_safetensors *tw_safetensors_open(const char *path);
int tw_safetensors_count(const tw_safetensors *s);
const tw_named_tensor *tw_safetensors_at(const tw_safetensors *s, int i);
/* By name; NULL where there is none (no error recorded). */
const tw_tensor *tw_safetensors_find(const tw_safetensors *s, const char *name);
const char *tw_safetensors_meta(const tw_safetensors *s, const char *key); /* NULL: absent */
void tw_safetensors_close(tw_safetensors *s);

#endif
