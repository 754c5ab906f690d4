/* Fields of lines that tabs part: TAB, LF, CR and backslash are written \t \n \r \\, all else as it is. */
#ifndef TW_CORE_TSV_H
#define TW_CORE_TSV_H

#include <stddef.h>
#include <stdio.h>

void tw_tsv_write(FILE *f, const char *text, size_t size);

/* Undoes that, in place; a backslash before anything else stays. */
void tw_tsv_read(char *text);

#endif
