/* File names are bytes; text of JSON is UTF-8. What is none of it is written \udc80..\udcff there, as Python's surrogateescape has it. */
#ifndef TW_CORE_UTF8_H
#define TW_CORE_UTF8_H

#include <stddef.h>

/* Length of the UTF-8 character at p (n bytes left, n >= 1), 0 if there is none: no overlong forms, surrogates or values beyond
 * 0x10ffff. */
size_t tw_utf8(const unsigned char *p, size_t n);

/* JSON text, of malloc, with each byte that is not UTF-8 as \udcXX, the backslash spelt as given ("\\" or, for others who refuse
 * half a pair, "\\\\": then it is six characters of the string). Takes the text: free() what comes back. NULL: text was, or no memory. */
char *tw_utf8_escape(char *text, const char *backslash);

/* The other way, in place: each \udcXX of the JSON text, unless it is the second half of a pair, becomes its byte again. */
void tw_utf8_unescape(char *json);

/* The n bytes of JSON text parsed, those bytes back in its strings; for cJSON_Delete. NULL: it is no JSON, or no memory. */
struct cJSON *tw_utf8_parse(const char *json, size_t n);

#endif
