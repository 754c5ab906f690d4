/* The index is text: a first line "twist-index 2 SIZE SECONDS.NANOSECONDS ROWS" (size and modification time of the shard), then a row
 * "AT SIZE LABEL NAME" for each picture, with label ("-": none) and name escaped as in words.h. */
#include "source/shard.h"

#include "core/error.h"
#include "core/file.h"
#include "core/program.h"
#include "source/archive.h"
#include "source/members.h"
#include "source/words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char version[] = "twist-index 2";
static const size_t MAX_INDEX = (size_t)1 << 34;

/* Where pictures go: see tw_shard_add. */
typedef struct {
    tw_entries *e;
    int32_t shard;
} target;

static int add_entry(const target *t, const char *name, const char *label, int64_t at, int64_t size)
{
    const tw_span span = {at, size, t->shard};
    size_t n;
    int32_t class = label == NULL && tw_member_folder(name, &n) != NULL ? TW_SHARD_FOLDER : -1;
    if (label != NULL && (class = tw_entries_class(t->e, label)) < 0)
        return -1;
    return tw_entries_add_member(t->e, name, class, &span);
}

/* Walks through the shard. index: receives the rows. *lost: whether links or labels were left out, with a warning. 0; 1: the shard is truncated or
 * damaged, tw_error() says where, and keep_cut is set; -1 and tw_error(). */
static int walk(const target *t, const char *path, int fd, const struct stat *st, bool keep_cut, FILE *index, bool *lost)
{
    tw_archive a = {.fd = fd, .size = st->st_size};
    tw_links links;
    tw_members m;
    tw_picture *p;
    const char *label;
    int rc;
    const unsigned before = tw_shortages();
    tw_links_init(&links, fd, st->st_size);
    tw_members_init(&m, tw_archive_read, &a, false, &links);
    while ((rc = tw_members_next(&m, &p, &label)) == 1) {
        if (add_entry(t, p->name, label, p->at, p->size) != 0)
            break;
        fprintf(index, "%" PRId64 " %" PRId64 " ", p->at, p->size);
        if (label != NULL)
            tw_word_write(index, label, ' ');
        else
            fputs("- ", index);
        tw_word_write(index, p->name, '\n');
    }
    *lost = tw_members_tell_lost(&m, path, "that lead to no file in the archive");
    tw_members_fini(&m);
    tw_links_fini(&links);
    return rc < 0 && keep_cut && tw_shortages() == before ? 1 : rc == 0 ? 0 : -1;
}

/* Reads one row of the text at *p and advances *p. t NULL: only checks it. 1; 0: malformed; -1 and tw_error(). */
static int read_row(char **p, char *end, int64_t size, const target *t)
{
    char *line = *p, *stop = memchr(line, '\n', (size_t)(end - line)), *field;
    if (stop == NULL)
        return 0;
    *p = stop + 1;
    const int64_t at = strtoll(line, &field, 10);
    const int64_t n = *field == ' ' ? strtoll(field + 1, &field, 10) : -1;
    if (at < 0 || n < 0 || at > size || n > size - at || field >= stop || *field != ' ')
        return 0;
    char *label = field + 1, *gap = memchr(label, ' ', (size_t)(stop - label));
    const bool labelled = label[0] != '-' || label[1] != ' ';
    if (gap == NULL || !tw_word_read(label, gap, t != NULL) || !tw_word_read(gap + 1, stop, t != NULL))
        return 0;
    if (t == NULL)
        return 1;
    return add_entry(t, gap + 1, labelled ? label : NULL, at, n) == 0 ? 1 : -1;
}

/* Loads the index. 1; 0: it is missing, not of this shard, or malformed; -1 and tw_error(). */
static int load(const char *path, const struct stat *st, const target *t)
{
    char first[128];
    size_t size;
    int64_t rows = 0;
    char *text = access(path, R_OK) == 0 ? tw_file_read(path, &size, MAX_INDEX) : NULL;
    if (text == NULL)
        return 0;
    snprintf(first, sizeof first, "%s %" PRId64 " %" PRId64 ".%09ld ", version, (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec);
    char *p = text, *end = text + size, *rest;
    int rc = strncmp(text, first, strlen(first)) == 0;
    if (rc == 1) {
        rows = strtoll(text + strlen(first), &rest, 10);
        rc = *rest == '\n' && rows > 0; /* a shard without pictures is refused, and has no index */
        p = rest + 1;
    }
    for (int pass = 0; pass < 2 && rc == 1; pass++) { /* all rows are checked before any is used */
        char *row = p;
        for (int64_t i = 0; i < rows && rc == 1; i++)
            rc = read_row(&row, end, st->st_size, pass == 0 ? NULL : t);
        if (rc == 1 && row != end)
            rc = 0;
    }
    free(text);
    return rc;
}

/* The path of NAME-HASH.index in the user's cache. NULL: there is no cache folder. The caller frees. */
static char *cache_path(const char *path)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *whole = realpath(path, NULL), *folder = NULL, *index = NULL;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a of the whole path */
    for (const char *p = whole; p != NULL && *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    if (base != NULL && base[0] == '/')
        folder = asprintf(&folder, "%s/twist", base) < 0 ? NULL : folder;
    else if (home != NULL && home[0] == '/')
        folder = asprintf(&folder, "%s/.cache/twist", home) < 0 ? NULL : folder;
    if (whole != NULL && folder != NULL && tw_make_folder(folder) == 0)
        index = asprintf(&index, "%s/%s-%016" PRIx64 ".index", folder, strrchr(whole, '/') + 1, h) < 0 ? NULL : index;
    free(whole);
    free(folder);
    return index;
}

/* Whether the shard's folder is writable: this process may write there and its mode has a write bit, which root respects too. */
static bool is_open_folder(const char *path)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    const bool open = folder != NULL && stat(folder, &st) == 0 && (st.st_mode & 0222) != 0 && access(folder, W_OK) == 0;
    free(folder);
    return open;
}

/* Whether there is a non-empty file of that name that is not an index: it must not be overwritten. */
static bool is_foreign(const char *path)
{
    char word[sizeof version - 2]; /* without the version number */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno != ENOENT;
    const ssize_t n = read(fd, word, sizeof word);
    close(fd);
    return n != 0 && (n < (ssize_t)sizeof word || memcmp(word, version, sizeof word) != 0);
}

/* Writes the index. Whether it could; failure is no error: the shard is then walked again next time. */
static bool save(const char *path, const struct stat *st, int64_t rows, const char *text, size_t size)
{
    tw_file *f = is_foreign(path) ? NULL : tw_file_create(path);
    if (f == NULL)
        return false;
    fprintf(tw_file_stream(f), "%s %" PRId64 " %" PRId64 ".%09ld %" PRId64 "\n", version, (int64_t)st->st_size,
            (int64_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, rows);
    fwrite(text, 1, size, tw_file_stream(f));
    return tw_file_commit(f) == 0;
}

/* Walks through the shard and saves the index, unless links or labels were left out: that warning is to appear in every run. Returns as walk. */
static int build(const target *t, const char *path, int fd, const struct stat *st, bool keep_cut, const char *beside, const char *cached)
{
    char *text = NULL;
    size_t size = 0;
    struct stat after;
    const size_t from = t->e->n;
    bool lost = false;
    FILE *index = open_memstream(&text, &size);
    if (index == NULL)
        return tw_fail("out of memory");
    int rc = walk(t, path, fd, st, keep_cut, index, &lost);
    const bool whole = fclose(index) == 0 && text != NULL; /* NULL: no memory to close it in */
    if (rc == 0 && fstat(fd, &after) == 0 && !tw_archive_unchanged(&after, st))
        rc = tw_fail("changes while it is read");
    const int64_t rows = (int64_t)(t->e->n - from);
    if (rc == 0 && whole && rows > 0 && !keep_cut && !lost && !(is_open_folder(beside) && save(beside, st, rows, text, size)) && cached != NULL)
        save(cached, st, rows, text, size);
    free(text);
    return rc;
}

int tw_shard_add(tw_entries *e, const char *path, int fd, int32_t shard, bool keep_cut)
{
    struct stat st;
    const target t = {e, shard};
    char *beside = NULL;
    if (fstat(fd, &st) != 0)
        return tw_fail_errno("%s", path);
    if (!S_ISREG(st.st_mode))
        return tw_fail("%s: not a regular file: give it as - on standard input", path);
    if (asprintf(&beside, "%s.index", path) < 0)
        return tw_fail("out of memory");
    char *cached = cache_path(path);
    int rc = load(beside, &st, &t);
    if (rc == 0 && cached != NULL)
        rc = load(cached, &st, &t);
    if (rc == 0) {
        const size_t from = e->n;
        rc = build(&t, path, fd, &st, keep_cut, beside, cached);
        if (rc < 0)
            rc = tw_fail("%s: %s", path, tw_error());
        if (rc > 0)
            tw_warn("%s: %s; it has %zu pictures before that", path, tw_error(), e->n - from);
    }
    free(beside);
    free(cached);
    return rc < 0 ? -1 : 0;
}
