#include "source/rejects.h"

#include "core/error.h"
#include "core/opts.h"
#include "core/tsv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int tw_rejects_init(tw_rejects *r, const char *most)
{
    char number[32];
    const size_t n = most != NULL ? strlen(most) : 0;
    *r = (tw_rejects){.most = -1, .percent = -1};
    if (most == NULL)
        return 0;
    if (n == 0 || n >= sizeof number)
        return tw_fail("--max-errors: '%s' is neither a number nor a percentage", most);
    memcpy(number, most, n + 1);
    if (number[n - 1] != '%')
        return tw_parse_i64(&r->most, most, 0, INT64_MAX, "--max-errors");
    number[n - 1] = '\0';
    return tw_parse_double(&r->percent, number, 0, 100, "--max-errors");
}

/* Removes an incomplete last line, left by a killed process. */
static int mend(FILE *f)
{
    char tail[1 << 14];
    if (fseeko(f, 0, SEEK_END) != 0)
        return errno == ESPIPE ? 0 : -1;
    const off_t size = ftello(f), from = size > (off_t)sizeof tail ? size - (off_t)sizeof tail : 0;
    if (size < 0 || fseeko(f, from, SEEK_SET) != 0)
        return -1;
    const size_t n = fread(tail, 1, (size_t)(size - from), f);
    const char *end = memrchr(tail, '\n', n);
    return n != (size_t)(size - from) || ftruncate(fileno(f), end != NULL ? from + (end + 1 - tail) : from) != 0 ? -1 : 0;
}

int tw_rejects_open(tw_rejects *r, const char *path, bool goes_on)
{
    r->path = path;
    r->file = path != NULL ? fopen(path, goes_on ? "a+e" : "we") : NULL;
    return path == NULL || (r->file != NULL && (!goes_on || mend(r->file) == 0)) ? 0 : tw_fail_errno("%s", path);
}

/* Checks the limits; all -1: not that in percent. */
static int check(const tw_rejects *r, int64_t all)
{
    if (r->most >= 0 && r->count > r->most)
        return tw_fail("more than %lld bad images", (long long)r->most);
    if (r->percent >= 0 && all >= 0 && (double)r->count > r->percent / 100 * (double)all)
        return tw_fail("%lld bad images of %lld, more than %g %%", (long long)r->count, (long long)all, r->percent);
    return 0;
}

void tw_rejects_spell(char text[2 * TW_REJECT_PATH + 1], const char *path, size_t size)
{
    for (size_t i = 0; i < size && i < TW_REJECT_PATH; i++) {
        if (path[i] == '\n')
            *text++ = '\\';
        *text++ = path[i] == '\n' ? 'n' : path[i];
    }
    *text = '\0';
}

int tw_rejects_add(tw_rejects *r, const char *path, size_t size, const char *cause, int64_t all)
{
    r->count++;
    if (r->file == NULL)
        return check(r, all);
    tw_tsv_write(r->file, path, size);
    fprintf(r->file, "\t%s\n", cause);
    if (fflush(r->file) != 0)
        return tw_fail_errno("%s", r->path);
    return check(r, all);
}

int tw_rejects_close(tw_rejects *r, int64_t all)
{
    FILE *f = r->file;
    r->file = NULL;
    if (f != NULL && fclose(f) != 0)
        return tw_fail_errno("%s", r->path);
    return check(r, all);
}
