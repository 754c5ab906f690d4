/* Text files that name pictures, one per row, optionally with labels. */
#ifndef TW_SOURCE_ROWS_H
#define TW_SOURCE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    TW_ROWS_LINES, /* name[TAB label] */
    TW_ROWS_NULS,  /* names terminated by NUL bytes, as written by find -print0 */
    TW_ROWS_TSV,   /* columns separated by TABs, escaped as in core/tsv.h */
    TW_ROWS_CSV,   /* columns separated by commas, quoted as in RFC 4180 */
    TW_ROWS_JSONL, /* one JSON object per line */
} tw_rows_format;

typedef struct {
    FILE *f;
    const char *file;
    tw_rows_format format;
    char *line, *more; /* the current row; a continuation line of it */
    size_t cap, more_cap;
    int64_t number;    /* of the last row read, from 1 */
    int name, label;   /* their column numbers */
    char *text[2];     /* name and label of a JSON object; owned */
} tw_rows;

/* The format by the file name's ending: .csv, .tsv, .jsonl, else TW_ROWS_LINES. */
tw_rows_format tw_rows_format_of(const char *file);

/* file: "-" is standard input. 0, or -1 and tw_error(). */
int tw_rows_open(tw_rows *r, const char *file, tw_rows_format format);

/* The next non-empty row; both strings are borrowed until the next call; label NULL: none, or an empty column. A CR at the end of a line and a byte
 * order mark (EF BB BF) before the first line are dropped, except in TW_ROWS_NULS.
 * In columns, name and label are the first two, unless the first row is a heading: then the name is in the column name, file, file_name, filename,
 * path, image, key or id, the label in label, class, category, target or cls; of several, the one listed first here. JSON objects have the same keys.
 * 1; 0 at the end; -1 and tw_error(): a read error, a NUL byte in a line, an empty name or label, not a JSON object. */
int tw_rows_next(tw_rows *r, const char **name, const char **label);
bool tw_rows_heads_names(const char *word); /* whether it is one of the words for the name's column */
void tw_rows_close(tw_rows *r);

#endif
