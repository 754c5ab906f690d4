/* Encoding of samples as msgpack records, with large payloads referenced instead of copied. */
#ifndef TW_STREAM_ENCODE_H
#define TW_STREAM_ENCODE_H

#include "stream/record.h"

/* An encoded record in pieces: the record is text.data with each part's bytes inserted before text.data[at]; parts are in order of `at`.
 * The writer passes them to writev(2), so that large tensors are not copied. */
typedef struct {
    size_t at;
    const void *data;
    size_t size;
} tw_part;

typedef struct {
    tw_bytes text;
    tw_part *part;
    size_t n, cap;
} tw_parts;

/* Encodes the sample's record into p, replacing its contents; payloads of 16 KiB and more become parts that point to the data of s.
 * Zero-initialise p before the first use; free with tw_parts_fini. Thread-safe for different p. 0, or -1 and tw_error(). */
int tw_parts_sample(tw_parts *p, const tw_sample *s);
void tw_parts_fini(tw_parts *p);

#endif
