/* A tensor in a stream or a checkpoint: element type, shape, borrowed contiguous data in C order. */
#ifndef TW_CORE_TENSOR_H
#define TW_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum { TW_MAX_RANK = 8 };

/* Types from TW_BOOL on occur in checkpoints of other software: they can be listed and copied, but no code computes with them. */
typedef enum {
    TW_U8, TW_I32, TW_I64, TW_F16, TW_BF16, TW_F32, TW_F64,
    TW_BOOL, TW_I8, TW_I16, TW_U16, TW_U32, TW_U64, TW_F8_E4M3, TW_F8_E5M2, TW_C64, TW_C128, /* complex numbers of two f32, two f64 */
    TW_DTYPES
} tw_dtype;

typedef struct {
    tw_dtype dtype;
    int rank;
    int64_t dim[TW_MAX_RANK];
    const void *data; /* borrowed; may be unaligned where it points into a record */
} tw_tensor;

size_t tw_dtype_size(tw_dtype t);          /* bytes of one element */
const char *tw_dtype_name(tw_dtype t);     /* "u8", "f32", ... */
/* Number of elements, and of bytes; -1 and tw_error() if that overflows or a dimension is negative. */
int64_t tw_tensor_elements(const tw_tensor *t);
int64_t tw_tensor_bytes(const tw_tensor *t);

#endif
