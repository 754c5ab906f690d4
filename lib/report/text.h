/* Keys and names in the pages that the programs write. */
#ifndef TW_REPORT_TEXT_H
#define TW_REPORT_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* For HTML text and quoted attributes, in UTF-8: U+FFFD stands for each byte that is none. */
void tw_text_html(FILE *f, const char *text, size_t size);

/* As the path of a URL: all but unreserved characters and / as %XX. */
void tw_text_url(FILE *f, const char *text, size_t size);

#endif
