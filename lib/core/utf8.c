#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t tw_utf8(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (len <= 1 || len > n)
        return len <= 1 ? len : 0;
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

static size_t count_bad(const unsigned char *p, size_t n)
{
    size_t bad = 0, len;
    for (; n > 0; p += len, n -= len) {
        len = tw_utf8(p, n);
        bad += len == 0;
        len += len == 0;
    }
    return bad;
}

char *tw_utf8_escape(char *text, const char *backslash)
{
    size_t n = text != NULL ? strlen(text) : 0;
    const size_t bad = text != NULL ? count_bad((const unsigned char *)text, n) : 0;
    if (bad == 0)
        return text;
    char *escaped = malloc(n + bad * (strlen(backslash) + 5) + 1), *to = escaped;
    for (const unsigned char *p = (const unsigned char *)text; escaped != NULL && n > 0;) {
        const size_t len = tw_utf8(p, n), step = len > 0 ? len : 1;
        if (len == 0)
            to += sprintf(to, "%sudc%02x", backslash, p[0]);
        else
            to = (char *)memcpy(to, p, len) + len;
        p += step;
        n -= step;
    }
    if (escaped != NULL)
        *to = '\0';
    free(text);
    return escaped;
}

/* Value of the \uXXXX escape at p; -1: there is none. */
static long code(const char *p)
{
    char digits[5] = "";
    if (p[0] != '\\' || p[1] != 'u' || strspn(p + 2, "0123456789abcdefABCDEF") < 4)
        return -1;
    memcpy(digits, p + 2, 4);
    return strtol(digits, NULL, 16);
}

void tw_utf8_unescape(char *json)
{
    char *to = json;
    bool first = false; /* the preceding escape was the first half of a surrogate pair */
    for (const char *p = json; *p != '\0';) {
        const long c = code(p);
        if (c >= 0xdc80 && c <= 0xdcff && !first) {
            *to++ = (char)(c - 0xdc00);
            p += 6;
            continue;
        }
        first = c >= 0xd800 && c < 0xdc00;
        for (int n = c >= 0 ? 6 : p[0] == '\\' && p[1] != '\0' ? 2 : 1; n > 0; n--)
            *to++ = *p++;
    }
    *to = '\0';
}

cJSON *tw_utf8_parse(const char *json, size_t n)
{
    char *text = strndup(json, n);
    if (text == NULL)
        return NULL;
    const bool whole = strlen(text) == n;
    tw_utf8_unescape(text);
    cJSON *value = whole ? cJSON_ParseWithOpts(text, NULL, true) : NULL;
    free(text);
    return value;
}
