/* The log of a run: each record a line of FOLDER/log.jsonl, its numbers also points of the curves in an event file. */
#ifndef TW_REPORT_RUNLOG_H
#define TW_REPORT_RUNLOG_H

#include <stdint.h>

typedef struct tw_runlog tw_runlog;

/* keep: as tw_jsonl_open; the event file is a new one. NULL and tw_error(). */
tw_runlog *tw_runlog_open(const char *folder, int64_t keep);

/* One record: begin, members, end. Its curves are GROUP/NAME, with a point at `step`, for each finite number. Each that returns an
 * int: 0, or -1 and tw_error(). */
void tw_runlog_begin(tw_runlog *l, const char *group, int64_t step);
void tw_runlog_int(tw_runlog *l, const char *name, int64_t v); /* in the line only */
void tw_runlog_text(tw_runlog *l, const char *name, const char *v);
void tw_runlog_number(tw_runlog *l, const char *name, double v);
int tw_runlog_end(tw_runlog *l);

int tw_runlog_close(tw_runlog *l); /* NULL is allowed */

#endif
