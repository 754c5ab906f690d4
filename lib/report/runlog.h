/* The log of a training run: each record is a line of FOLDER/log.jsonl, and its numbers are points of curves in a TensorBoard event file. */
#ifndef TW_REPORT_RUNLOG_H
#define TW_REPORT_RUNLOG_H

#include <stdint.h>

typedef struct tw_runlog tw_runlog;

/* Opens FOLDER/log.jsonl (keep: as tw_jsonl_open) and creates a new event file. NULL and tw_error(). */
tw_runlog *tw_runlog_open(const char *folder, int64_t keep);

/* A record: begin, members, end. Each finite number is a point at `step` of the curve GROUP/NAME. group is borrowed until end. The functions that
 * return an int: 0, or -1 and tw_error(). */
void tw_runlog_begin(tw_runlog *l, const char *group, int64_t step);
void tw_runlog_int(tw_runlog *l, const char *name, int64_t v); /* this and text: in log.jsonl only */
void tw_runlog_text(tw_runlog *l, const char *name, const char *v);
void tw_runlog_number(tw_runlog *l, const char *name, double v);
int tw_runlog_end(tw_runlog *l);

int tw_runlog_close(tw_runlog *l); /* NULL is allowed */

#endif
