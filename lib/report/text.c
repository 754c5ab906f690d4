#include "report/text.h"

#include "core/utf8.h"

#include <string.h>

void tw_text_html(FILE *f, const char *text, size_t size)
{
    for (size_t i = 0, n; i < size; i += n) {
        const size_t length = tw_utf8((const unsigned char *)text + i, size - i);
        n = length > 0 ? length : 1;
        if (length == 0) {
            fputs("\xef\xbf\xbd", f);
            continue;
        }
        switch (text[i]) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fwrite(text + i, 1, n, f);
        }
    }
}

void tw_text_url(FILE *f, const char *text, size_t size)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\0' && strchr(unreserved, text[i]) != NULL)
            putc(text[i], f);
        else
            fprintf(f, "%%%02X", (unsigned char)text[i]);
    }
}
