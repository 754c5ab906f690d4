/* Decodes records that the scanner (scan.h) has accepted into structs. Type, range and tensor size of every value are checked; error
 * messages name the field. */
#ifndef TW_STREAM_DECODE_H
#define TW_STREAM_DECODE_H

#include "stream/record.h"

/* Checks the record's crc if its last key (at offset tw_scan.last_key) is "crc". whole (may be NULL) receives the CRC-32C of the whole
 * record, at almost no extra cost if the record has a crc. 0, or -1 and tw_error(): mismatch. */
int tw_check_crc(const unsigned char *record, size_t size, size_t last_key, uint32_t *whole);

/* Decodes a header record. All that h points to is in *block, which the caller frees. 0, or -1 and tw_error(). */
int tw_decode_header(tw_header *h, void **block, const unsigned char *record, size_t size);

/* 1: an end record, decoded into *e; 0: another record; -1 and tw_error(). */
int tw_decode_end(tw_end *e, const unsigned char *record, size_t size);

/* Decodes the record in s->buffer (s->record_size bytes), a sample of a stream of that kind; s then points into the buffer. Unknown
 * fields that are not contiguous are copied after the record, for which the buffer may grow. 0, or -1 and tw_error(). */
int tw_decode_sample(tw_sample *s, tw_kind kind);
/* Decodes a record outside s->buffer; s then points into `record`, which must outlive it. Unknown fields are ignored. 0, or -1 and
 * tw_error(). */
int tw_decode_borrowed(tw_sample *s, tw_kind kind, const void *record, size_t size);

#endif
