/* What reading and writing of safetensors files share. */
#ifndef TW_CHECKPOINT_SAFETENSORS_TYPES_H
#define TW_CHECKPOINT_SAFETENSORS_TYPES_H

#include "core/tensor.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are written as they lie in memory, the format is little-endian"
#endif

enum { TW_SAFETENSORS_HEADER_LIMIT = 100000000 };

/* The format's name of each tw_dtype; NULL: it has none. */
extern const char *const tw_safetensors_types[TW_DTYPES];

#endif
