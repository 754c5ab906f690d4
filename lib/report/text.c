#include "report/text.h"

#include <string.h>

void tw_text_html(FILE *f, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        switch (text[i]) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        default: putc(text[i], f);
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
