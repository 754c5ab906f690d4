#include "source/source.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/program.h"
#include "source/archive.h"
#include "source/entries.h"
#include "source/folder.h"
#include "source/listing.h"
#include "source/members.h"
#include "source/names.h"
#include "source/rows.h"
#include "source/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t MAX_PICTURE = (size_t)1 << 30; /* bytes of a file or member */

typedef struct {
    char *path;
    int fd;          /* -1: too many shards, this one is opened for each read */
    struct stat was; /* its state when it was indexed */
} shard;

struct tw_source {
    tw_entries all;
    shard *shard;
    size_t shards, shards_cap, most_open;
    bool labelled; /* every sample has a label */
    uint64_t lacking, lacks; /* number of samples without a label; index of the first of them */
};

static int add_shard(tw_source *s, const char *path, bool keep_cut)
{
    if (tw_grow(&s->shard, &s->shards_cap, s->shards + 1, sizeof *s->shard) != 0)
        return -1;
    shard new = {.path = strdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (new.path == NULL || new.fd < 0 || fstat(new.fd, &new.was) != 0) {
        tw_fail_errno("%s", path);
        if (new.fd >= 0)
            close(new.fd);
        free(new.path);
        return -1;
    }
    const int32_t number = (int32_t)s->shards;
    const size_t from = s->all.n;
    shard *kept = &s->shard[s->shards++];
    *kept = new;
    if (tw_shard_add(&s->all, path, new.fd, number, keep_cut) != 0)
        return -1;
    if (s->shards > s->most_open) {
        close(new.fd);
        kept->fd = -1;
    }
    return s->all.n > from ? 0 : tw_fail("%s: no pictures in this archive", path);
}

static bool ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

static int add_operand(tw_source *s, const char *path, const tw_source_options *o, bool *folders)
{
    struct stat st;
    const int names = s->all.names;
    if (stat(path, &st) != 0)
        return tw_fail_errno("%s", path);
    if (S_ISDIR(st.st_mode)) {
        if (tw_folder_walk(&s->all, NULL, path, o->jobs) != 0)
            return -1;
        *folders = *folders || s->all.names > names;
        return 0;
    }
    return ends_in(path, ".tar") ? add_shard(s, path, o->keep_cut) : tw_entries_add(&s->all, path, -1);
}

static int add_list(tw_entries *e, const char *file, bool nuls)
{
    tw_rows r;
    const char *path, *label;
    const size_t from = e->n;
    if (tw_rows_open(&r, file, nuls ? TW_ROWS_NULS : TW_ROWS_LINES) != 0)
        return -1;
    int rc;
    while ((rc = tw_rows_next(&r, &path, &label)) == 1) {
        const int32_t class = label != NULL ? tw_entries_class(e, label) : -1;
        if ((label != NULL && class < 0) || tw_entries_add(e, path, class) != 0) {
            rc = -1;
            break;
        }
    }
    tw_rows_close(&r);
    return rc == 0 && e->n == from ? tw_fail("%s: an empty list", file) : rc;
}

/* Warns of names that match no picture: from another data set, or spelt differently. They are sorted, and may come twice. */
static void tell_missing(const tw_names *t, const bool *found, const char *file)
{
    size_t names = 0, missing = 0, which = 0;
    for (size_t i = 0, next; i < t->n; i = next) {
        bool there = false;
        for (next = i; next < t->n && strcmp(t->row[next].name, t->row[i].name) == 0; next++)
            there = there || found[next];
        names++;
        missing += !there;
        which = there ? which : i;
    }
    if (missing > 0)
        tw_warn("%s: %zu of %zu names are not in the data, %s among them", file, missing, names, t->row[which].name);
}

static int keep_subset(tw_entries *e, const char *file)
{
    tw_names t;
    size_t kept = 0;
    int rc = tw_names_read(&t, file, NULL);
    bool *found = rc == 0 ? tw_calloc(t.n, sizeof *found) : NULL;
    rc = found != NULL ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < e->n; i++)
        if (tw_names_mark(&t, tw_entries_path(e, i), found))
            e->entry[kept++] = e->entry[i];
    e->n = kept;
    if (rc == 0 && kept == 0)
        rc = tw_fail("%s: none of its names is in the data", file);
    if (rc == 0)
        tell_missing(&t, found, file);
    free(found);
    tw_names_fini(&t);
    return rc;
}

/* A name without its folders may match pictures in several folders, which then get the same label. Warns at the first such picture. */
static void tell_ambiguous(const tw_row *r, const char *path, const char **first, bool *told, const char *file)
{
    if (*first == NULL)
        *first = path;
    if (*told || strcmp(*first, path) == 0)
        return;
    tw_warn("%s: '%s' names more than one picture, %s and %s among them: all have its label", file, r->name, *first, path);
    *told = true;
}

static int set_labels(tw_entries *e, const char *file)
{
    tw_names t;
    tw_entries_forget_classes(e);
    int rc = tw_names_read(&t, file, e);
    const char **first = rc == 0 ? tw_calloc(t.n, sizeof *first) : NULL; /* first picture that each row matches */
    size_t found = 0;
    bool told = false;
    rc = first != NULL ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < e->n; i++) {
        const tw_row *r = tw_names_find(&t, tw_entries_path(e, i));
        e->entry[i].label = r != NULL ? r->label : -1;
        found += r != NULL;
        if (r != NULL)
            tell_ambiguous(r, tw_entries_path(e, i), &first[r - t.row], &told, file);
    }
    free(first);
    tw_names_fini(&t);
    return rc == 0 && found == 0 && e->n > 0 ? tw_fail("%s: labels none of the pictures in the data", file) : rc;
}

static void keep_every(tw_entries *e, int64_t every)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->n; i += (size_t)every)
        e->entry[kept++] = e->entry[i];
    e->n = kept;
}

/* Whether the members labelled TW_SHARD_FOLDER are in folders of more than one name. */
static bool has_several_folders(const tw_entries *e)
{
    const char *first = NULL;
    size_t size = 0, n;
    for (size_t i = 0; i < e->n; i++) {
        const char *folder = e->entry[i].label == TW_SHARD_FOLDER ? tw_member_folder(tw_entries_path(e, i), &n) : NULL;
        if (folder != NULL && first != NULL && (n != size || memcmp(folder, first, n) != 0))
            return true;
        if (folder != NULL) {
            first = folder;
            size = n;
        }
    }
    return false;
}

/* Replaces the label TW_SHARD_FOLDER: by the class of the member's folder if `count` is set, else by none. *given: whether any class was set. */
static int name_folders(tw_entries *e, bool count, bool *given)
{
    char text[256];
    size_t n;
    for (size_t i = 0; i < e->n; i++) {
        if (e->entry[i].label != TW_SHARD_FOLDER)
            continue;
        const char *folder = tw_member_folder(tw_entries_path(e, i), &n);
        e->entry[i].label = -1;
        if (!count || n >= sizeof text)
            continue;
        snprintf(text, sizeof text, "%.*s", (int)n, folder);
        if ((e->entry[i].label = tw_entries_class(e, text)) < 0)
            return -1;
        *given = true;
    }
    return 0;
}

/* Sorts the classes, unless their names are numbers, which are labels themselves. named: by folders, whose names are never labels, as in
 * torchvision. */
static int number_classes(tw_entries *e, const tw_source_options *o, bool named)
{
    const int numbered = named ? 0 : tw_entries_number_classes(e);
    if (numbered < 0 || (numbered == 0 && tw_entries_sort_classes(e) != 0))
        return -1;
    if (numbered == 0 && !named)
        tw_entries_tell_names(e, o->labels != NULL ? o->labels : o->list.n == 1 ? o->list.item[0] : NULL);
    return 0;
}

static void count_labels(tw_source *s)
{
    const tw_entries *e = &s->all;
    for (size_t i = e->n; i-- > 0;)
        if (e->entry[i].label < 0) {
            s->lacking++;
            s->lacks = i;
        }
    s->labelled = e->n > 0 && e->names > 0 && s->lacking == 0;
    if (s->lacking == e->n)
        s->lacking = 0;
}

static int fill(tw_source *s, const tw_source_options *o)
{
    tw_entries *e = &s->all;
    bool folders = false, in_shards = false; /* class names come from folders; from folders in shards */
    s->most_open = tw_allow_files((size_t)o->n_operands); /* shards are kept open */
    if (o->listing != NULL && tw_listing_walk(e, o->listing, o->operand, o->n_operands, o->jobs) != 0)
        return -1;
    folders = e->names > 0;
    for (int i = 0; i < o->n_operands && o->listing == NULL; i++)
        if (add_operand(s, o->operand[i], o, &folders) != 0)
            return -1;
    if (name_folders(e, folders || has_several_folders(e), &in_shards) != 0) /* a single folder name in all shards is not a class */
        return -1;
    for (int i = 0; i < o->list.n; i++)
        if (add_list(e, o->list.item[i], o->nuls) != 0)
            return -1;
    if (o->subset != NULL && keep_subset(e, o->subset) != 0)
        return -1;
    if (o->labels != NULL && set_labels(e, o->labels) != 0)
        return -1;
    if (o->every > 1)
        keep_every(e, o->every);
    if (number_classes(e, o, (folders || in_shards) && o->labels == NULL) != 0)
        return -1;
    count_labels(s);
    return 0;
}

tw_source *tw_source_open(const tw_source_options *o)
{
    tw_source *s = tw_calloc(1, sizeof *s);
    if (s != NULL && fill(s, o) == 0)
        return s;
    tw_source_close(s);
    return NULL;
}

void tw_source_close(tw_source *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->shards; i++) {
        if (s->shard[i].fd >= 0)
            close(s->shard[i].fd);
        free(s->shard[i].path);
    }
    free(s->shard);
    tw_entries_fini(&s->all);
    free(s);
}

uint64_t tw_source_count(const tw_source *s)
{
    return s->all.n;
}

const char *tw_source_path(const tw_source *s, uint64_t i)
{
    return tw_entries_path(&s->all, i);
}

int64_t tw_source_label(const tw_source *s, uint64_t i)
{
    return s->labelled ? s->all.entry[i].label : -1;
}

/* The last two parts of a path. */
static const char *short_path(const char *path)
{
    const char *from = path + strlen(path);
    for (int slashes = 0; from > path; from--)
        if (from[-1] == '/' && ++slashes == 2)
            break;
    return from;
}

int64_t tw_source_checksum(const tw_source *s)
{
    uint32_t crc = 0;
    for (uint64_t i = 0; i < s->all.n; i++) {
        const char *name = short_path(tw_source_path(s, i));
        const uint64_t label = (uint64_t)tw_source_label(s, i);
        unsigned char bytes[8];
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(label >> 8 * b);
        crc = tw_crc32c(tw_crc32c(crc, name, strlen(name) + 1), bytes, sizeof bytes);
    }
    return crc != 0 ? crc : 1;
}

int tw_source_n_classes(const tw_source *s)
{
    return s->labelled ? s->all.names : -1;
}

uint64_t tw_source_lacking(const tw_source *s, const char **one)
{
    *one = s->lacking > 0 ? tw_entries_path(&s->all, s->lacks) : NULL;
    return s->lacking;
}

const char **tw_source_classes(const tw_source *s)
{
    return (const char **)s->all.name;
}

static int read_file(const char *path, void **block, size_t *cap, size_t *size)
{
    const size_t n = strlen(path);
    if (tw_file_load(path, block, cap, size, MAX_PICTURE) == 0)
        return 0;
    const char *e = tw_error();
    return tw_fail("%s", strncmp(e, path, n) == 0 && strncmp(e + n, ": ", 2) == 0 ? e + n + 2 : e);
}

void tw_source_where(const tw_source *s, uint64_t i, const char **path, int64_t *offset, int64_t *length)
{
    tw_span span;
    const bool member = tw_entries_span(&s->all, i, &span);
    *path = member ? s->shard[span.shard].path : tw_entries_path(&s->all, i);
    *offset = member ? span.at : 0;
    *length = member ? span.size : -1;
}

/* Reopens a shard and checks that it has not changed since it was indexed. A descriptor, or -1 and tw_error(). */
static int open_again(const shard *of)
{
    struct stat is;
    const int fd = open(of->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &is) != 0)
        tw_fail_errno("in %s", of->path);
    else if (tw_archive_unchanged(&is, &of->was))
        return fd;
    else
        tw_fail("in %s, which has changed since it was indexed", of->path);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int read_span(const shard *from, int fd, const tw_span *span, void *block, size_t *size)
{
    for (*size = 0; *size < (size_t)span->size;) {
        const ssize_t got = pread(fd, (char *)block + *size, (size_t)span->size - *size, span->at + (int64_t)*size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? tw_fail_errno("in %s", from->path) : tw_fail("truncated (in %s)", from->path);
        *size += (size_t)got;
    }
    return 0;
}

int tw_source_read(const tw_source *s, uint64_t i, void **block, size_t *cap, size_t *size)
{
    tw_span span;
    if (!tw_entries_span(&s->all, i, &span))
        return read_file(tw_entries_path(&s->all, i), block, cap, size);
    const shard *from = &s->shard[span.shard];
    if ((uint64_t)span.size > MAX_PICTURE)
        return tw_fail("larger than %zu bytes (in %s)", MAX_PICTURE, from->path);
    if (tw_grow(block, cap, (size_t)span.size + 1, 1) != 0)
        return -1;
    const int fd = from->fd >= 0 ? from->fd : open_again(from);
    const int rc = fd < 0 ? -1 : read_span(from, fd, &span, *block, size);
    if (fd >= 0 && fd != from->fd)
        close(fd);
    return rc;
}
