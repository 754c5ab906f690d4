/* Records as msgpack, with large payloads either copied or referred to. */
#ifndef TW_STREAM_ENCODE_H
#define TW_STREAM_ENCODE_H

#include "stream/record.h"

/* An encoded record in pieces: text.data, into which the part's bytes are to be inserted before text.data[at]; parts in
 * order of at. So the writer hands large tensors to the kernel from where they lie. */
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

/* Replaces what p holds by the sample's record; payloads of 16 KiB and more become parts that point into s. 0, or -1 and
 * tw_error(). Zero-initialise p before the first use; free with tw_parts_fini. Thread-safe for different p. */
int tw_parts_sample(tw_parts *p, const tw_sample *s);
void tw_parts_fini(tw_parts *p);

#endif
