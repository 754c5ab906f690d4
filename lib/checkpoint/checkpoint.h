/* A file of weights, of whatever format: a list of named tensors and metadata. */
#ifndef TW_CHECKPOINT_CHECKPOINT_H
#define TW_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/safetensors.h"

typedef struct tw_checkpoint tw_checkpoint;

/* Opens the file; its format is recognised by content: safetensors, PyTorch's .pth (any version; no code in it is run), .npz of numpy.savez, or
 * detectron2's .pkl (names become torchvision's). Nested dicts become names with dots; values that are not tensors become metadata. A name that
 * appears twice is refused. NULL and tw_error() naming the file. What the functions below return is borrowed until close; a
 * tensor's data may be unaligned. */
tw_checkpoint *tw_checkpoint_open(const char *path);
const char *tw_checkpoint_path(const tw_checkpoint *c);
const char *tw_checkpoint_format(const tw_checkpoint *c); /* "safetensors", "PyTorch", ... */
int tw_checkpoint_count(const tw_checkpoint *c);
const tw_named_tensor *tw_checkpoint_at(const tw_checkpoint *c, int i); /* in the file's order; they lie in one array */
const tw_tensor *tw_checkpoint_find(const tw_checkpoint *c, const char *name); /* NULL: absent */
const char *tw_checkpoint_meta(const tw_checkpoint *c, const char *key);       /* NULL: absent */
/* Pair i of the metadata in the file's order; false: i is beyond the last. */
bool tw_checkpoint_meta_at(const tw_checkpoint *c, int i, const char **key, const char **value);
void tw_checkpoint_close(tw_checkpoint *c); /* NULL is allowed */

/* Converts the elements of a floating-point tensor of at least 16 bits to f32. 0, or -1 and tw_error() for another type, or if an element is NaN or
 * infinite in f32 (f64 beyond f32's range is refused too). */
int tw_tensor_to_f32(float *out, const tw_tensor *t);

/* Element i of a tensor of any type but complex ones, as a double. */
double tw_tensor_element(const tw_tensor *t, int64_t i);
bool tw_tensor_is_complex(const tw_tensor *t);

/* Writes "f32 [64, 3, 7, 7]" to text, cut to size. Returns text. */
const char *tw_tensor_describe(char *text, size_t size, const tw_tensor *t);

#endif
