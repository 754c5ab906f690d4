/* A file of weights, of whatever format: a list of named tensors and metadata. */
#ifndef TW_CHECKPOINT_CHECKPOINT_H
#define TW_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/safetensors.h"

typedef struct tw_checkpoint tw_checkpoint;

/* Opens the file, its format told from its content: safetensors, PyTorch's .pth (of any version; no code in it is run), .npz as numpy.savez writes
 * it, or .pkl as detectron2 does (its names turned into torchvision's). Nested dicts become names with dots; what is no tensor in them becomes
 * metadata. NULL and tw_error() naming the file. What the functions below return is borrowed until close; a tensor's data may be unaligned. */
tw_checkpoint *tw_checkpoint_open(const char *path);
const char *tw_checkpoint_path(const tw_checkpoint *c);
const char *tw_checkpoint_format(const tw_checkpoint *c); /* "safetensors", "PyTorch", ... */
int tw_checkpoint_count(const tw_checkpoint *c);
const tw_named_tensor *tw_checkpoint_at(const tw_checkpoint *c, int i); /* in the file's order; they lie in one array */
const tw_tensor *tw_checkpoint_find(const tw_checkpoint *c, const char *name); /* NULL: absent */
const char *tw_checkpoint_meta(const tw_checkpoint *c, const char *key);       /* NULL: absent */
/* Pair i of the metadata in the file's order; false: there are no more. */
bool tw_checkpoint_meta_at(const tw_checkpoint *c, int i, const char **key, const char **value);
void tw_checkpoint_close(tw_checkpoint *c); /* NULL is allowed */

/* The tensor's elements as f32 into out: any floating-point type of 16 bits and more. 0, or -1 and tw_error() for another type or where an element is
 * NaN or infinite (none is either by rounding: f64 beyond f32's range is refused too). */
int tw_tensor_to_f32(float *out, const tw_tensor *t);

/* Element i of the tensor, of any type that is not complex. */
double tw_tensor_element(const tw_tensor *t, int64_t i);
bool tw_tensor_is_complex(const tw_tensor *t);

/* "f32 [64, 3, 7, 7]" into text, cut to size. Returns text. */
const char *tw_tensor_describe(char *text, size_t size, const tw_tensor *t);

#endif
