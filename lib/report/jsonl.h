/* A JSON Lines log: one object per line, each flushed as a whole, so that readers see complete lines only, even after a crash. */
#ifndef TW_REPORT_JSONL_H
#define TW_REPORT_JSONL_H

#include <stdint.h>

typedef struct tw_jsonl tw_jsonl;

/* Opens the file for appending, after removing the lines whose "step" (or "after_step") is above `keep`, those whose "end_of_epoch" is `epoch` or
 * more, and those that are no complete JSON object. keep -1: starts an empty log. NULL and tw_error(). */
tw_jsonl *tw_jsonl_open(const char *path, int64_t keep, int64_t epoch);

/* A line: begin, members, end. Numbers that are not finite become null. */
void tw_jsonl_begin(tw_jsonl *l);
void tw_jsonl_int(tw_jsonl *l, const char *name, int64_t v);
void tw_jsonl_number(tw_jsonl *l, const char *name, double v);
void tw_jsonl_string(tw_jsonl *l, const char *name, const char *v);
int tw_jsonl_end(tw_jsonl *l); /* 0, or -1 and tw_error() */

int tw_jsonl_close(tw_jsonl *l); /* 0, or -1 and tw_error(). NULL is allowed */

#endif
