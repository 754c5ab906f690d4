/* Fields of tab-separated lines: TAB, LF, CR and backslash are escaped as \t \n \r \\, other bytes are unchanged. */
#ifndef TW_CORE_TSV_H
#define TW_CORE_TSV_H

#include <stddef.h>
#include <stdio.h>

/* Writes `size` bytes of text, escaped. Errors stay in ferror(f). */
void tw_tsv_write(FILE *f, const char *text, size_t size);

/* Unescapes a NUL-terminated field in place; a backslash before any other character is kept. */
void tw_tsv_read(char *text);

#endif
