/* A table of a stream's samples: after a heading, a line "KEY<TAB>LABEL<TAB>STATUS" for each input. LABEL is the class name, its number if the
 * stream has no names, or empty; STATUS is "ok", or why the picture is missing. Fields are escaped as in core/tsv.h. */
#ifndef TW_REPORT_TABLE_H
#define TW_REPORT_TABLE_H

#include "stream/record.h"

typedef struct tw_table tw_table;

/* Creates the file, which appears under its name when complete. rejects: a file written by twist-decode --rejects, its lines in the order of the
 * data; NULL: none. rejects and h are borrowed until finish or abandon. NULL and tw_error(). */
tw_table *tw_table_create(const char *path, const char *rejects, const tw_header *h);

/* Writes the sample's line. 0, or -1 and tw_error(). */
int tw_table_add(tw_table *t, const tw_sample *s);
/* Writes the line of the next picture in rejects. 0, or -1 and tw_error(), also if there is none. */
int tw_table_missing(tw_table *t);
/* Number of lines written by tw_table_missing. */
int64_t tw_table_named(const tw_table *t);

int tw_table_finish(tw_table *t); /* frees t in any case. 0, or -1 and tw_error(), also if rejects has lines that were not used */
void tw_table_abandon(tw_table *t); /* NULL is allowed */

#endif
