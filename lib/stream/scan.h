/* An incremental scanner: finds a record's end and checks its structure, lengths and limits, before anything is decoded or allocated for
 * it. It works on the bytes received so far, continues when there are more, and needs only the fixed memory of tw_scan. */
#ifndef TW_STREAM_SCAN_H
#define TW_STREAM_SCAN_H

#include "stream/reader.h"

#include <stdint.h>

enum { TW_SCAN_DEPTH = 64 }; /* the deepest nesting that limits.depth may allow */

typedef struct {
    tw_limits limits;
    size_t at;       /* bytes scanned, including a payload not yet received; the record's size when it is complete */
    size_t need;     /* lower bound of the record's size */
    size_t last_key; /* offset of the last key of the record's own map */
    int depth;       /* open maps and arrays */
    struct {
        uint64_t left; /* values still to come; keys and values of a map both count */
        bool map;
    } level[TW_SCAN_DEPTH];
} tw_scan;

/* Prepares s for a new record. limits are copied; depth must be at most TW_SCAN_DEPTH. */
void tw_scan_init(tw_scan *s, const tw_limits *limits);

/* Continues the scan. data: the first `have` bytes of the record, at each call the same ones and more. 1: complete, s->at bytes long; 0:
 * incomplete, call again with at least s->need bytes; -1 and tw_error() with the offset in the record: malformed, or beyond a limit. */
int tw_scan_run(tw_scan *s, const unsigned char *data, size_t have);

#endif
