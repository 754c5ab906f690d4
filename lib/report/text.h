/* Escaping of keys and names for the HTML pages that the programs write. Errors stay in ferror(f). */
#ifndef TW_REPORT_TEXT_H
#define TW_REPORT_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Writes text for HTML text or a quoted attribute, in UTF-8; each invalid byte becomes U+FFFD. */
void tw_text_html(FILE *f, const char *text, size_t size);

/* Writes text as the path of a URL: percent-encodes all bytes except unreserved characters and '/'. */
void tw_text_url(FILE *f, const char *text, size_t size);

#endif
