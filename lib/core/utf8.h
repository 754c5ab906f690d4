/* File names are arbitrary bytes, JSON text is UTF-8. Bytes that are not valid UTF-8 are escaped in JSON as \udc80..\udcff, as with
 * Python's surrogateescape. */
#ifndef TW_CORE_UTF8_H
#define TW_CORE_UTF8_H

#include <stddef.h>

/* Length in bytes of the UTF-8 character at p (n >= 1 bytes left); 0 if it is not valid (truncated, overlong, a surrogate, or beyond
 * U+10FFFF). */
size_t tw_utf8(const unsigned char *p, size_t n);

/* Escapes each byte of the malloc'ed JSON text that is not valid UTF-8 as \udcXX. backslash: "\\", or, for parsers that reject a lone
 * surrogate, "\\\\", so that the string contains the six characters. Takes ownership of text; the caller frees the result. NULL if text is
 * NULL or memory is short (text is freed then too). */
char *tw_utf8_escape(char *text, const char *backslash);

/* The inverse, in place: each escape \udc80..\udcff in the JSON text becomes its byte, unless it is the second half of a surrogate pair. */
void tw_utf8_unescape(char *json);

/* Parses n bytes of JSON text, unescaped as by tw_utf8_unescape. The caller frees with cJSON_Delete. NULL: not valid JSON (nothing may follow
 * it), a NUL byte in it, or out of memory. */
struct cJSON *tw_utf8_parse(const char *json, size_t n);

#endif
