/* TensorBoard event files: curves of numbers, each a tag with a value at a step. A record is its length (u64), the length's CRC-32C
 * masked ((crc >> 15 | crc << 17) + 0xa282ead8), the message (event.proto), the message's masked CRC-32C; all little-endian. */
#ifndef TW_REPORT_EVENTS_H
#define TW_REPORT_EVENTS_H

#include <stdint.h>

typedef struct tw_events tw_events;

/* A new file FOLDER/events.out.tfevents.SECONDS.MICROSECONDS.twist. keep >= 0: it goes on where files before it were at step `keep`;
 * what they say of later steps TensorBoard drops. NULL and tw_error(). */
tw_events *tw_events_open(const char *folder, int64_t keep);

/* One record: begin, numbers (tags are copied), end, which flushes. No record where there were no numbers. */
void tw_events_begin(tw_events *e, int64_t step);
int tw_events_number(tw_events *e, const char *tag, double v); /* 0, or -1 and tw_error() */
int tw_events_end(tw_events *e);                               /* 0, or -1 and tw_error() */

int tw_events_close(tw_events *e); /* 0, or -1 and tw_error(). NULL is allowed */

#endif
