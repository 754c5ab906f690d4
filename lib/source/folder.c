#include "source/folder.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64 };

/* A folder that is being walked, and those around it. */
typedef struct around {
    dev_t device;
    ino_t inode;
    const struct around *up;
    int depth;
} around;

/* The path of the folder being walked; grows and shrinks with the depth. */
typedef struct {
    char *text;
    size_t n, cap;
} trail;

static int append(trail *t, const char *name)
{
    const size_t n = strlen(name);
    const bool slash = t->n > 0 && t->text[t->n - 1] != '/';
    if (tw_grow(&t->text, &t->cap, t->n + slash + n + 1, 1) != 0)
        return -1;
    if (slash)
        t->text[t->n++] = '/';
    memcpy(t->text + t->n, name, n + 1);
    t->n += n;
    return 0;
}

static void cut(trail *t, size_t n)
{
    t->n = n;
    t->text[n] = '\0';
}

static bool is_folder(const trail *t, const struct dirent *d)
{
    struct stat st;
    if (d->d_type == DT_DIR || d->d_type == DT_REG)
        return d->d_type == DT_DIR;
    return stat(t->text, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The result of walking one class folder, or the top level. */
typedef struct {
    tw_entries files, folders;
    trail at;
} found;

static void found_fini(found *f)
{
    tw_entries_fini(&f->files);
    tw_entries_fini(&f->folders);
    free(f->at.text);
}

/* Opens the folder f->at and fills `me`; refuses one that contains itself, by symbolic links. NULL and tw_error(). */
static DIR *open_folder(found *f, around *me)
{
    struct stat st;
    DIR *dir = opendir(f->at.text);
    if (dir == NULL || fstat(dirfd(dir), &st) != 0) {
        tw_fail_errno("%s", f->at.text);
        if (dir != NULL)
            closedir(dir);
        return NULL;
    }
    me->device = st.st_dev;
    me->inode = st.st_ino;
    for (const around *a = me->up; a != NULL; a = a->up)
        if (a->device == me->device && a->inode == me->inode) {
            tw_fail("%s: a loop of symbolic links: it is a folder that it is in", f->at.text);
            closedir(dir);
            return NULL;
        }
    const tw_span changed = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec, 0}; /* taken before reading, so that a change during it is noticed */
    if (tw_entries_add_member(&f->folders, f->at.text, -1, &changed) == 0)
        return dir;
    closedir(dir);
    return NULL;
}

/* Collects the pictures in the folder f->at. below NULL: also those in its subfolders; else the subfolders themselves are added to `below`. */
static int walk(found *f, tw_entries *below, const around *up)
{
    around me = {.up = up, .depth = up != NULL ? up->depth + 1 : 1};
    if (me.depth > MAX_DEPTH)
        return tw_fail("%s: folders nested deeper than %d", f->at.text, MAX_DEPTH);
    DIR *dir = open_folder(f, &me);
    if (dir == NULL)
        return -1;
    const size_t here = f->at.n;
    int rc = 0;
    errno = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL; cut(&f->at, here)) {
        if (d->d_name[0] == '.')
            continue;
        rc = append(&f->at, d->d_name);
        if (rc == 0 && is_folder(&f->at, d))
            rc = below != NULL ? tw_entries_add(below, f->at.text, -1) : walk(f, NULL, &me);
        else if (rc == 0 && tw_picture_name(d->d_name))
            rc = tw_entries_add(&f->files, f->at.text, -1);
        errno = 0;
    }
    if (rc == 0 && errno != 0)
        rc = tw_fail_errno("%s", f->at.text);
    closedir(dir);
    return rc;
}

typedef struct {
    const char *path;
    found found;
    bool failed;
    char message[512];
} job;

static void run(void *arg, int worker, void *context)
{
    job *j = arg;
    (void)worker, (void)context;
    j->failed = append(&j->found.at, j->path) != 0 || walk(&j->found, NULL, NULL) != 0;
    if (j->failed)
        snprintf(j->message, sizeof j->message, "%s", tw_error());
    else
        tw_entries_sort(&j->found.files, 0);
}

/* Appends the pictures that the oldest job has found, with its class. */
static int collect(tw_entries *e, tw_entries *folders, tw_pool *pool)
{
    job *j = tw_pool_take(pool);
    int rc = j->failed ? tw_fail("%s", j->message) : 0;
    const int32_t class = rc == 0 ? tw_entries_class(e, strrchr(j->path, '/') + 1) : -1;
    if (class < 0 || tw_entries_append(e, &j->found.files, class) != 0)
        rc = -1;
    if (rc == 0 && folders != NULL)
        rc = tw_entries_append(folders, &j->found.folders, -1);
    found_fini(&j->found);
    free(j);
    return rc;
}

static int walk_classes(tw_entries *e, tw_entries *folders, const tw_entries *classes, int jobs)
{
    tw_pool *pool = tw_pool_new(jobs > 1 ? jobs : 0, 0, run, NULL);
    int rc = pool != NULL ? 0 : -1;
    for (size_t i = 0; i < classes->n && rc == 0; i++) {
        while (rc == 0 && tw_pool_full(pool))
            rc = collect(e, folders, pool);
        job *j = rc == 0 ? tw_calloc(1, sizeof *j) : NULL;
        if (j == NULL) {
            rc = -1;
            break;
        }
        j->path = tw_entries_path(classes, i);
        tw_pool_submit(pool, j);
    }
    while (pool != NULL && tw_pool_pending(pool) > 0) {
        char first[512];
        snprintf(first, sizeof first, "%s", rc != 0 ? tw_error() : "");
        if (collect(e, folders, pool) != 0 && rc == 0)
            rc = -1;
        else if (rc != 0)
            tw_fail("%s", first);
    }
    tw_pool_free(pool);
    return rc;
}

int tw_folder_walk(tw_entries *e, tw_entries *folders, const char *folder, int jobs)
{
    found top = {0};
    tw_entries classes = {0};
    const size_t from = e->n;
    int rc = append(&top.at, folder) != 0 || walk(&top, &classes, NULL) != 0 ? -1 : 0;
    if (rc == 0) {
        tw_entries_sort(&classes, 0);
        rc = walk_classes(e, folders, &classes, jobs);
    }
    if (rc == 0 && e->n == from) { /* no classes: its own files */
        tw_entries_sort(&top.files, 0);
        rc = tw_entries_append(e, &top.files, -1);
    }
    if (rc == 0 && folders != NULL)
        rc = tw_entries_append(folders, &top.folders, -1);
    if (rc == 0 && e->n == from)
        rc = tw_fail("%s: no pictures in this folder", folder);
    tw_entries_fini(&classes);
    found_fini(&top);
    return rc;
}
