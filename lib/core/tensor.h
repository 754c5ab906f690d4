/* A tensor as it travels: type, shape, borrowed contiguous data (C order). */
#ifndef TW_CORE_TENSOR_H
#define TW_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum { TW_MAX_RANK = 8 };

typedef enum { TW_U8, TW_I32, TW_I64, TW_F16, TW_BF16, TW_F32, TW_F64 } tw_dtype;

typedef struct {
    tw_dtype dtype;
    int rank;
    int64_t dim[TW_MAX_RANK];
    const void *data; /* borrowed; may be unaligned where it points into a record */
} tw_tensor;

size_t tw_dtype_size(tw_dtype t);          /* bytes of one element */
const char *tw_dtype_name(tw_dtype t);     /* "u8", "f32", ... */
/* Elements and bytes of the tensor; -1 and tw_error() where that overflows or a dimension is negative. */
int64_t tw_tensor_elements(const tw_tensor *t);
int64_t tw_tensor_bytes(const tw_tensor *t);

#endif
