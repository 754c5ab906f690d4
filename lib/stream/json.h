/* Records as JSON text, for people, jq and tests. */
#ifndef TW_STREAM_JSON_H
#define TW_STREAM_JSON_H

#include <stddef.h>
#include <stdio.h>

/* Prints a scanned record (a msgpack map) as one JSON object on one line, without its crc. f32 and f16 tensors of rank 1 become lists of
 * numbers, images {"type": "|u1", "shape": [H, W, 3]}, other bytes {"bytes": N}; NaN and infinities become null; bytes that are not
 * UTF-8 become \udc80..\udcff as with Python's surrogateescape. Write errors stay in ferror(f). 0, or -1 and tw_error() if the record
 * is truncated. */
int tw_json_record(FILE *f, const void *record, size_t size);

#endif
