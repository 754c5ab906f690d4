/* TensorBoard event files with scalar curves: each point is a tag, a step and a value. A record consists of its length (u64), the length's
 * masked CRC-32C, (crc >> 15 | crc << 17) + 0xa282ead8, the message (event.proto), and the message's masked CRC-32C; all little-endian. */
#ifndef TW_REPORT_EVENTS_H
#define TW_REPORT_EVENTS_H

#include <stdint.h>

typedef struct tw_events tw_events;

/* Creates the file FOLDER/events.out.tfevents.SECONDS.MICROSECONDS.twist. keep >= 0: it continues earlier files after step `keep`: TensorBoard then
 * drops their points of later steps. NULL and tw_error(). */
tw_events *tw_events_open(const char *folder, int64_t keep);

/* A record: begin, numbers (tags are copied), end, which writes and flushes it. Without numbers nothing is written. */
void tw_events_begin(tw_events *e, int64_t step);
int tw_events_number(tw_events *e, const char *tag, double v); /* 0, or -1 and tw_error() */
int tw_events_end(tw_events *e);                               /* 0, or -1 and tw_error() */

int tw_events_close(tw_events *e); /* 0, or -1 and tw_error(). NULL is allowed */

#endif
