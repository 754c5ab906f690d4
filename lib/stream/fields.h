/* Typed reading of field values for the record decoders. Each function reads the value at the cursor and steps over it. 0, or -1 and
 * tw_error() naming the field if the value is not of the expected type or form. */
#ifndef TW_STREAM_FIELDS_H
#define TW_STREAM_FIELDS_H

#include "core/tensor.h"
#include "stream/msg.h"

/* An integer from 0 to INT64_MAX (u64: UINT64_MAX). nil: a nil value is accepted too and gives -1. */
int tw_field_int(int64_t *v, tw_cursor *c, const char *name, bool nil);
int tw_field_u64(uint64_t *v, tw_cursor *c, const char *name);
/* The bytes of a str or bin (type says which); borrowed from the record. */
int tw_field_bytes(const void **data, size_t *size, tw_cursor *c, const char *name, tw_msg_type type);
/* A vector, f32 or f16 [D], and pixels, u8 [H,W,3], as encoded by msgpack-numpy (keys and type may be bin or str); no dimension 0; data borrowed. */
int tw_field_vector(tw_tensor *t, tw_cursor *c, const char *name);
int tw_field_image(tw_tensor *t, tw_cursor *c, const char *name);

/* The key at the cursor, a str (the scanner has checked that); steps over it. */
int tw_field_key(const char **key, size_t *size, tw_cursor *c);
/* Index of the key in a NULL-terminated list of names; -1: not in the list. */
int tw_field_find(const char *const *names, const char *key, size_t size);

#endif
