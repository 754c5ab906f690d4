/* Values of fields as the decoders of records want them: each function steps over one value and fails, naming the field,
 * where it is not what it should be. */
#ifndef TW_STREAM_FIELDS_H
#define TW_STREAM_FIELDS_H

#include "core/tensor.h"
#include "stream/msg.h"

/* A whole number >= 0; nil is *v = -1 where that is allowed. */
int tw_field_int(int64_t *v, tw_cursor *c, const char *name, bool nil);
int tw_field_u64(uint64_t *v, tw_cursor *c, const char *name);
/* The bytes of a str or bin (type: which); borrowed from the record. */
int tw_field_bytes(const void **data, size_t *size, tw_cursor *c, const char *name, tw_msg_type type);
/* A tensor as msgpack-numpy encodes it (keys and type as bin or str), of that type and rank, no dimension 0, its data borrowed. */
int tw_field_tensor(tw_tensor *t, tw_cursor *c, const char *name, tw_dtype dtype, int rank);
/* A vector: f32 or f16 [D]. */
int tw_field_vector(tw_tensor *t, tw_cursor *c, const char *name);
/* A pixel tensor: u8 [H,W,3]. */
int tw_field_image(tw_tensor *t, tw_cursor *c, const char *name);

/* The key at the cursor, which is a str by the scanner's word; steps over it. */
int tw_field_key(const char **key, size_t *size, tw_cursor *c);
/* Index of the key in a NULL-terminated list of names, -1 if it is not there. */
int tw_field_find(const char *const *names, const char *key, size_t size);

#endif
