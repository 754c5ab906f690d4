#include "source/lines.h"

#include "core/error.h"

#include <stdlib.h>
#include <string.h>

int tw_lines_open(tw_lines *l, const char *file)
{
    *l = (tw_lines){.f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re"), .file = file};
    return l->f != NULL ? 0 : tw_fail_errno("%s", file);
}

int tw_lines_next(tw_lines *l, char **name, char **label)
{
    ssize_t n;
    while ((n = getline(&l->line, &l->cap, l->f)) > 0) {
        l->number++;
        if (memchr(l->line, '\0', (size_t)n) != NULL)
            return tw_fail("%s: line %lld: a NUL byte: not a text file", l->file, (long long)l->number);
        while (n > 0 && (l->line[n - 1] == '\n' || l->line[n - 1] == '\r'))
            l->line[--n] = '\0';
        if (n == 0)
            continue;
        *name = l->line;
        *label = strchr(l->line, '\t');
        if (*label != NULL)
            *(*label)++ = '\0';
        if (**name == '\0' || (*label != NULL && **label == '\0'))
            return tw_fail("%s: line %lld: %s is empty", l->file, (long long)l->number, **name == '\0' ? "the path" : "the label");
        return 1;
    }
    return ferror(l->f) ? tw_fail_errno("%s", l->file) : 0;
}

void tw_lines_close(tw_lines *l)
{
    free(l->line);
    if (l->f != NULL && l->f != stdin)
        fclose(l->f);
}
