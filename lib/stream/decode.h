/* Scanned records into structs. Every value is checked: type, range, the size of tensors. Messages say which field. */
#ifndef TW_STREAM_DECODE_H
#define TW_STREAM_DECODE_H

#include "stream/record.h"

/* Checks the record's crc where its last key (at offset last_key, as the scanner found it) is "crc". 0, or -1. whole: the checksum of all
 * the record, which costs a record with a crc nothing; NULL: not wanted. */
int tw_check_crc(const unsigned char *record, size_t size, size_t last_key, uint32_t *whole);

/* The header. Its strings and arrays are in *block, which the caller frees after use. 0, or -1 and tw_error(). */
int tw_decode_header(tw_header *h, void **block, const unsigned char *record, size_t size);

/* 1: the record has the key "end" and *e has it; 0: it has not; -1 and tw_error(). */
int tw_decode_end(tw_end *e, const unsigned char *record, size_t size);

/* The sample in s->buffer (s->record_size bytes) of a stream of that kind. Unknown fields that do not lie together are
 * copied behind the record, for which the buffer may grow. 0, or -1 and tw_error(). */
int tw_decode_sample(tw_sample *s, tw_kind kind);
/* The sample in bytes that are somewhere else and stay there; unknown fields are passed over. 0, or -1 and tw_error(). */
int tw_decode_borrowed(tw_sample *s, tw_kind kind, const void *record, size_t size);

#endif
