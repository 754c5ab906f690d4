/* The file is text, its words escaped as words.h says. First line: "twist-listing 1 FOLDERS BELOW CLASSES PICTURES", the numbers of the lines that
 * follow: the folders asked for; all folders read, with their modification times; the class names; the pictures, with their class numbers. */
#include "source/listing.h"

#include "core/error.h"
#include "core/file.h"
#include "source/folder.h"
#include "source/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char version[] = "twist-listing 2";
static const size_t MAX_LISTING = (size_t)1 << 36;
enum { FRESH = 2 }; /* seconds: a folder modified this recently may change again within the resolution of its modification time */

typedef struct {
    char *p, *end;
} text;

/* Reads the next line: a number (two, "A.B", if b is not NULL) and a word, unescaped in place. False if it is malformed. */
static bool next_line(text *t, int64_t *a, int64_t *b, char **word)
{
    char *line = t->p, *stop = memchr(line, '\n', (size_t)(t->end - line));
    if (stop == NULL)
        return false;
    t->p = stop + 1;
    if (a != NULL)
        *a = strtoll(line, &line, 10);
    if (b != NULL)
        *b = *line == '.' ? strtoll(line + 1, &line, 10) : -1;
    if (a != NULL && (line >= stop || *line++ != ' '))
        return false;
    *word = line;
    return tw_word_read(line, stop, true);
}

static bool is_unchanged(const char *folder, int64_t seconds, int64_t nanoseconds)
{
    struct stat st;
    return stat(folder, &st) == 0 && st.st_mtim.tv_sec == seconds && st.st_mtim.tv_nsec == nanoseconds;
}

/* Loads the listing into e. False if it is not one of these folders in their present state; e may then hold part of it. */
static bool load(tw_entries *e, text t, const char *const *folder, int n)
{
    long long folders, below, classes, pictures;
    int64_t a, b;
    char *word;
    int length = 0;
    if (sscanf(t.p, "twist-listing 2 %lld %lld %lld %lld\n%n", &folders, &below, &classes, &pictures, &length) != 4 || length == 0 || folders != n)
        return false;
    t.p += length;
    for (int i = 0; i < n; i++)
        if (!next_line(&t, NULL, NULL, &word) || strcmp(word, folder[i]) != 0)
            return false;
    for (long long i = 0; i < below; i++)
        if (!next_line(&t, &a, &b, &word) || !is_unchanged(word, a, b))
            return false;
    for (long long i = 0; i < classes; i++)
        if (!next_line(&t, NULL, NULL, &word) || tw_entries_class(e, word) != i)
            return false;
    for (long long i = 0; i < pictures; i++)
        if (!next_line(&t, &a, NULL, &word) || a < -1 || a >= classes || tw_entries_add(e, word, (int32_t)a) != 0)
            return false;
    return t.p == t.end && pictures > 0;
}

static int save(const tw_entries *e, const tw_entries *below, const char *file, const char *const *folder, int n)
{
    tw_span changed;
    const int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < below->n; i++)
        if (tw_entries_span(below, i, &changed) && changed.at > now - FRESH)
            return 0;
    tw_file *f = tw_file_create(file);
    if (f == NULL)
        return -1;
    FILE *to = tw_file_stream(f);
    fprintf(to, "%s %d %zu %d %zu\n", version, n, below->n, e->names, e->n);
    for (int i = 0; i < n; i++)
        tw_word_write(to, folder[i], '\n');
    for (size_t i = 0; i < below->n; i++) {
        tw_entries_span(below, i, &changed);
        fprintf(to, "%" PRId64 ".%09" PRId64 " ", changed.at, changed.size);
        tw_word_write(to, tw_entries_path(below, i), '\n');
    }
    for (int i = 0; i < e->names; i++)
        tw_word_write(to, e->name[i], '\n');
    for (size_t i = 0; i < e->n; i++) {
        fprintf(to, "%" PRId32 " ", e->entry[i].label);
        tw_word_write(to, tw_entries_path(e, i), '\n');
    }
    return tw_file_commit(f);
}

int tw_listing_walk(tw_entries *e, const char *file, const char *const *folder, int n, int jobs)
{
    size_t size;
    tw_entries below = {0};
    struct stat st;
    if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
        return tw_fail("%s: not a regular file", file);
    char *all = access(file, F_OK) == 0 ? tw_file_read(file, &size, MAX_LISTING) : NULL;
    if (all == NULL && access(file, F_OK) == 0)
        return -1;
    const bool good = all != NULL && load(e, (text){all, all + size}, folder, n);
    const size_t common = strlen(version) - 1;
    const bool foreign = all != NULL && !good && memcmp(all, version, size < common ? size : common) != 0;
    free(all);
    if (good)
        return 0;
    if (foreign) /* protects a file named by mistake */
        return tw_fail("%s: an existing file that is not a listing", file);
    tw_entries_fini(e);
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++)
        rc = tw_folder_walk(e, &below, folder[i], jobs);
    if (rc == 0)
        rc = save(e, &below, file, folder, n);
    tw_entries_fini(&below);
    return rc;
}
