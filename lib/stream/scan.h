/* Finds where a record ends and whether it keeps to the rules (structure, lengths, limits) before anything is decoded or
 * allocated for it. Works on what has arrived so far and goes on when there is more, in the fixed memory of tw_scan. */
#ifndef TW_STREAM_SCAN_H
#define TW_STREAM_SCAN_H

#include "stream/reader.h"

#include <stdint.h>

enum { TW_SCAN_DEPTH = 64 }; /* the deepest nesting that limits.depth may allow */

typedef struct {
    tw_limits limits;
    size_t at;       /* bytes understood; the record's size when it is complete */
    size_t need;     /* the record has at least so many bytes */
    size_t last_key; /* offset of the last key of the record's own map */
    int depth;       /* open maps and arrays */
    struct {
        uint64_t left; /* values still to come, a map's keys counted as values */
        bool map;
    } level[TW_SCAN_DEPTH];
} tw_scan;

void tw_scan_init(tw_scan *s, const tw_limits *limits);

/* data: the record from its first byte on, `have` bytes of it, the same bytes and more at each call. 1: complete, s->at
 * bytes long; 0: s->need bytes are wanted; -1 and tw_error() with the offset in the record: it breaks a rule. */
int tw_scan_run(tw_scan *s, const unsigned char *data, size_t have);

#endif
