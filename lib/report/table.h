/* A stream's samples as a table: a line for each input, "KEY<TAB>LABEL<TAB>STATUS" after a line of headings. The label is the class's
 * name, or its number where the stream names none, or empty; the status "ok", or why a picture is not there. In keys, names and causes
 * backslash, TAB, CR and LF are written \\ \t \r \n. */
#ifndef TW_REPORT_TABLE_H
#define TW_REPORT_TABLE_H

#include "stream/record.h"

typedef struct tw_table tw_table;

/* The file appears under its name when it is complete. rejects: what twist-decode --rejects wrote, whose lines follow one another in
 * the order of the data, or NULL. Its name and h are kept. NULL and tw_error(). */
tw_table *tw_table_create(const char *path, const char *rejects, const tw_header *h);

/* The sample's line. 0, or -1 and tw_error(). */
int tw_table_add(tw_table *t, const tw_sample *s);
/* The line of the next picture in rejects. 0, or -1 and tw_error(): also where there is none. */
int tw_table_missing(tw_table *t);
/* How many such lines have been written. */
int64_t tw_table_named(const tw_table *t);

int tw_table_finish(tw_table *t); /* frees t. 0, or -1 and tw_error(): also where rejects has pictures that no line was written for */
void tw_table_abandon(tw_table *t); /* NULL is allowed */

#endif
