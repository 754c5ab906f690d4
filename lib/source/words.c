#include "source/words.h"

#include <stdlib.h>
#include <string.h>

void tw_word_write(FILE *f, const char *word, char after)
{
    const bool dash = strcmp(word, "-") == 0;
    for (const unsigned char *p = (const unsigned char *)word; *p != '\0'; p++)
        if (*p <= ' ' || *p == '%' || *p == 0x7f || dash)
            fprintf(f, "%%%02X", *p);
        else
            putc_unlocked(*p, f);
    putc_unlocked(after, f);
}

bool tw_word_read(char *from, const char *end, bool store)
{
    char *to = from;
    for (const char *p = from; p < end; p++) {
        unsigned v = (unsigned char)*p;
        if (v == '%') {
            char hex[3] = "", *stop;
            if (end - p < 3)
                return false;
            memcpy(hex, p + 1, 2);
            v = (unsigned)strtoul(hex, &stop, 16);
            if (stop != hex + 2 || v == 0)
                return false;
            p += 2;
        }
        if (store)
            *to++ = (char)v;
    }
    if (store)
        *to = '\0';
    return from < end;
}
