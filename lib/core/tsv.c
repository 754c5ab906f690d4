#include "core/tsv.h"

#include <string.h>

static const char plain[] = "\t\n\r\\", letter[] = "tnr\\";

void tw_tsv_write(FILE *f, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char *at = text[i] != '\0' ? strchr(plain, text[i]) : NULL;
        if (at != NULL)
            putc('\\', f);
        putc(at != NULL ? letter[at - plain] : text[i], f);
    }
}

void tw_tsv_read(char *text)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        const char *at = p[0] == '\\' && p[1] != '\0' ? strchr(letter, p[1]) : NULL;
        *to++ = at != NULL ? plain[at - letter] : *p;
        p += at != NULL;
    }
    *to = '\0';
}
