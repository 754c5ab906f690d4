#include "feed/places.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/tsv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int64_t index; /* plus one; 0: free */
    char *cause;
} bad_image;

struct tw_places {
    tw_places_options o;
    char *root, *real_root; /* absolute, "" stands for /; real: with links resolved, NULL: it does not exist */
    char *path;             /* of the sample described last, relative to the root */
    size_t path_cap;
    tw_order order[2]; /* of even and odd epochs */
    int64_t epoch[2];  /* the epoch of each order; -1: none yet */
    int64_t count;
    bad_image *bad;    /* a hash table, at most half full */
    size_t slots, bads;
    const char *quarantine; /* NULL: none */
};

/* The path made absolute, without ".", ".." and double slashes; links are not resolved. The caller frees. */
static char *absolute(const char *path)
{
    char *from = NULL, *to = NULL, *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0), *part, *rest = NULL;
    size_t n = 0;
    if (here == NULL || asprintf(&from, "%s/%s", here, path) < 0 || (to = malloc(strlen(from) + 2)) == NULL) {
        free(here);
        free(from);
        tw_fail("out of memory");
        return NULL;
    }
    free(here);
    for (part = strtok_r(from, "/", &rest); part != NULL; part = strtok_r(NULL, "/", &rest)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (n > 0 && to[--n] != '/')
                ;
            continue;
        }
        n += (size_t)sprintf(to + n, "/%s", part);
    }
    to[n] = '\0';
    free(from);
    return to;
}

/* The part of the path below the folder ("" stands for /); NULL: it is not below it. */
static const char *below(const char *folder, const char *path)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Sets p->path to the path relative to the root: with links resolved, since workers do not follow all links; as written if the resolved path is not
 * below the root. 0, or -1 and tw_error() without the path. */
static int relative(tw_places *p, const char *path)
{
    char *real = realpath(path, NULL);
    const int missing = real == NULL ? errno : 0;
    char *all = absolute(path);
    const char *found = real != NULL && p->real_root != NULL ? below(p->real_root, real) : NULL;
    if (all != NULL && (found == NULL || strlen(found) > TW_FEED_TEXT))
        found = below(p->root, all);
    int rc = -1;
    if (all != NULL && found == NULL && missing != 0)
        tw_fail("%s", strerror(missing));
    else if (all != NULL && found == NULL)
        tw_fail("not below the root %s, where workers look for files (--root, or --ship to send them the files)",
                p->root[0] != '\0' ? p->root : "/");
    else if (all != NULL && strlen(found) > TW_FEED_TEXT)
        tw_fail("its path is longer than %d bytes", TW_FEED_TEXT);
    else if (all != NULL && (rc = tw_grow(&p->path, &p->path_cap, strlen(found) + 1, 1)) == 0)
        strcpy(p->path, found);
    free(real);
    free(all);
    return rc;
}

static int open_root(tw_places *p, const char *root)
{
    p->root = absolute(root);
    p->real_root = realpath(root, NULL);
    if (p->real_root != NULL && strcmp(p->real_root, "/") == 0)
        p->real_root[0] = '\0';
    return p->root != NULL ? 0 : -1;
}

/* Checks that each picture's name fits a lease and that its file is below the root (once for pictures in a row of the same folder). */
static int check(tw_places *p)
{
    size_t had = 0; /* length of the last folder checked: most pictures are in the same one as the picture before */
    const char *last = "";
    for (uint64_t i = 0; i < tw_source_count(p->o.source); i++) {
        const char *path, *key = tw_source_path(p->o.source, i);
        int64_t offset, length;
        if (strlen(key) > TW_FEED_TEXT)
            return tw_fail("%.100s...: its name is longer than %d bytes", key, TW_FEED_TEXT);
        if (p->root == NULL)
            continue;
        tw_source_where(p->o.source, i, &path, &offset, &length);
        const char *slash = strrchr(path, '/');
        const size_t folder = slash != NULL ? (size_t)(slash - path) : 0;
        if ((i == 0 || folder != had || strncmp(path, last, folder) != 0) && relative(p, path) != 0)
            return tw_fail("%.600s: %s", path, tw_error());
        had = folder;
        last = path;
    }
    return 0;
}

tw_places *tw_places_new(const tw_places_options *o)
{
    tw_places *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    const uint64_t n = tw_source_count(o->source);
    p->o = *o;
    p->epoch[0] = p->epoch[1] = -1;
    for (int k = 0; k < 2; k++)
        if (tw_order_init(&p->order[k], n, (uint64_t)o->limit, o->shuffle, (uint64_t)o->seed, &o->share) != 0)
            goto err;
    p->count = (int64_t)tw_order_count(&p->order[0]);
    if ((o->root != NULL && open_root(p, o->root) != 0) || check(p) != 0)
        goto err;
    return p;
err:
    tw_places_free(p);
    return NULL;
}

void tw_places_free(tw_places *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->slots; i++)
        free(p->bad[i].cause);
    free(p->bad);
    tw_order_fini(&p->order[0]);
    tw_order_fini(&p->order[1]);
    free(p->root);
    free(p->real_root);
    free(p->path);
    free(p);
}

int64_t tw_places_count(const tw_places *p)
{
    return p->count;
}

/* The order of the position's epoch. */
static const tw_order *order_of(tw_places *p, int64_t position)
{
    const int64_t e = position / p->count;
    tw_order *o = &p->order[e % 2];
    if (p->epoch[e % 2] != e) {
        tw_order_epoch(o, e);
        p->epoch[e % 2] = e;
    }
    return o;
}

static int64_t index_of(tw_places *p, int64_t position, int64_t sub)
{
    return (int64_t)tw_order_behind(order_of(p, position), (uint64_t)(position % p->count), (uint64_t)sub);
}

tw_feed_what tw_places_what(tw_places *p, int64_t position, int64_t sub)
{
    const int64_t index = index_of(p, position, sub);
    return (tw_feed_what){.index = index, .epoch = position / p->count, .label = tw_source_label(p->o.source, (uint64_t)index),
                          .pos = (int64_t)tw_order_pos(order_of(p, position), (uint64_t)(position % p->count)),
                          .sub = sub > 0 ? index_of(p, position, 0) : -1, .key = tw_source_path(p->o.source, (uint64_t)index), .path = "",
                          .length = -1};
}

int tw_places_describe(tw_places *p, int64_t position, int64_t sub, tw_feed_what *what)
{
    const char *path;
    *what = tw_places_what(p, position, sub);
    if (p->root == NULL)
        return 0;
    tw_source_where(p->o.source, (uint64_t)what->index, &path, &what->offset, &what->length);
    if (relative(p, path) != 0)
        return -1;
    what->path = p->path;
    return 0;
}

int tw_places_read(const tw_places *p, const tw_feed_what *what, void **block, size_t *cap, size_t *size)
{
    return tw_source_read(p->o.source, (uint64_t)what->index, block, cap, size);
}

/* The image's entry in the hash table, or the free one for it. */
static bad_image *find(const tw_places *p, int64_t index)
{
    size_t i = (size_t)((uint64_t)index * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (p->slots - 1);
    while (p->bad[i].index != 0 && p->bad[i].index != index + 1)
        i = (i + 1) & (p->slots - 1);
    return &p->bad[i];
}

static int add(tw_places *p, int64_t index, const char *cause)
{
    if (2 * p->bads >= p->slots) {
        const size_t had = p->slots;
        bad_image *old = p->bad, *new = tw_calloc(had > 0 ? 2 * had : 64, sizeof *new);
        if (new == NULL)
            return -1;
        p->slots = had > 0 ? 2 * had : 64;
        p->bad = new;
        for (size_t i = 0; i < had; i++)
            if (old[i].index != 0)
                *find(p, old[i].index - 1) = old[i];
        free(old);
    }
    bad_image *b = find(p, index);
    if (b->index != 0)
        return 0;
    b->cause = strdup(cause);
    if (b->cause == NULL)
        return tw_fail("out of memory");
    b->index = index + 1;
    p->bads++;
    return 0;
}

const char *tw_places_known(tw_places *p, int64_t position, int64_t sub)
{
    return p->bads > 0 ? find(p, index_of(p, position, sub))->cause : NULL;
}

static int write_quarantine(const tw_places *p, int64_t index, const char *cause)
{
    FILE *f = fopen(p->quarantine, "ae");
    if (f == NULL)
        return tw_fail_errno("%s", p->quarantine);
    fprintf(f, "%" PRId64 "\t", index);
    const char *path = tw_source_path(p->o.source, (uint64_t)index);
    tw_tsv_write(f, path, strlen(path));
    fprintf(f, "\t%s\n", cause);
    const bool full = ferror(f) != 0;
    return fclose(f) != 0 || full ? tw_fail_errno("%s", p->quarantine) : 0;
}

int tw_places_bad(tw_places *p, int64_t position, int64_t sub, int code, const char *cause)
{
    const int64_t index = index_of(p, position, sub);
    const bool news = p->bads == 0 || find(p, index)->index == 0;
    if (add(p, index, cause) != 0)
        return -1;
    if (news && p->quarantine != NULL && (code == TW_FAIL_CRASH || code == TW_FAIL_TIMEOUT) && write_quarantine(p, index, cause) != 0)
        return -1;
    if (p->o.on_error != TW_BAD_SUBSTITUTE)
        return 0;
    if (sub + 1 < (int64_t)p->order[0].limit)
        return 1;
    const int64_t wanted = index_of(p, position, 0);
    return tw_fail("%s: %s; and there is no good image to take its place", tw_source_path(p->o.source, (uint64_t)wanted), find(p, wanted)->cause);
}

/* Whether the name, escaped as in the file, is that of the path. */
static bool is_named(const char *name, size_t size, const char *path)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL)
        return false;
    tw_tsv_write(f, path, strlen(path));
    const bool same = fclose(f) == 0 && text != NULL && n == size && memcmp(text, name, n) == 0;
    free(text);
    return same;
}

int tw_places_quarantine(tw_places *p, const char *path)
{
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    FILE *f = fopen(path, "a+e"); /* to append: that it cannot be written shows now, and not when the first image is to be */
    p->quarantine = path;
    if (f == NULL)
        return tw_fail_errno("%s", path);
    off_t whole = 0; /* bytes of complete lines */
    bool cut = false;
    ssize_t n;
    for (int64_t number = 1; rc == 0 && (n = getline(&line, &cap, f)) > 0; number++) {
        char *end, *cause;
        if (line[n - 1] != '\n') { /* incomplete: the next line is written over it */
            cut = true;
            rc = truncate(path, whole) != 0 ? tw_fail_errno("%s", path) : 0;
            break;
        }
        whole += n;
        const long long index = strtoll(line, &end, 10);
        line[strcspn(line, "\n")] = '\0';
        cause = *end == '\t' ? strchr(end + 1, '\t') : NULL;
        if (end == line || cause == NULL || index < 0 || (uint64_t)index >= tw_source_count(p->o.source) ||
            !is_named(end + 1, (size_t)(cause - end - 1), tw_source_path(p->o.source, (uint64_t)index)))
            rc = tw_fail("%s: line %lld is not `index TAB key TAB cause` of this data set", path, (long long)number);
        else
            rc = add(p, index, cause + 1);
    }
    if (rc == 0 && !cut && !feof(f))
        rc = tw_fail_errno("%s", path);
    free(line);
    fclose(f);
    return rc;
}
