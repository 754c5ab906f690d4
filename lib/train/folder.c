#include "train/folder.h"

#include "core/error.h"
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 50 /* tenths of a second: the previous run may still be ending */, OLD = 600 /* seconds: longer than writing a file takes */ };

char *tw_folder_file(const tw_folder *f, const char *name)
{
    return tw_path_in(f->path, name);
}

static int lock(tw_folder *f)
{
    static const struct timespec nap = {0, 100000000};
    f->lock = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->lock < 0)
        return tw_fail_errno("%s", f->path);
    for (int i = 0; flock(f->lock, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            close(f->lock);
            f->lock = -1;
            return 0;
        }
        if (i == PATIENCE)
            return tw_fail("%s: another process is training there", f->path);
        nanosleep(&nap, NULL);
    }
    return 0;
}

/* Whether the entry is a temporary file that was to become one of a run's files. */
static bool half_written(const char *entry)
{
    static const char *const names[] = {"checkpoint.safetensors", "backbone.safetensors", "mme_ckpt.safetensors", "best.safetensors",
                                        "args.json", "log.jsonl", "bad-batch.tws"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tw_file_is_temporary(entry, names[i]))
            return true;
    return false;
}

/* Removes old temporary files. Only old ones, as locks may not reach a process on another machine that is writing here. */
static void tidy(const tw_folder *f)
{
    DIR *d = opendir(f->path);
    struct stat s;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (half_written(e->d_name) && fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - s.st_mtime > OLD)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
}

int tw_folder_open(tw_folder *f, const char *path, bool resume)
{
    *f = (tw_folder){.path = path, .lock = -1};
    if (tw_make_folder(path) != 0 || lock(f) != 0)
        return -1;
    if (f->lock >= 0)
        tidy(f);
    f->checkpoint = tw_folder_file(f, "checkpoint.safetensors");
    if (f->checkpoint == NULL)
        return -1;
    f->there = access(f->checkpoint, F_OK) == 0;
    if (f->there && !resume)
        return tw_fail("%s: already holds a run: continue it with --resume, or choose another folder", f->checkpoint);
    return 0;
}

void tw_folder_close(tw_folder *f)
{
    free(f->checkpoint);
    f->checkpoint = NULL;
    if (f->lock >= 0)
        close(f->lock);
    f->lock = -1;
}

int tw_folder_write(const tw_folder *f, const char *name, const char *text)
{
    char *path = tw_folder_file(f, name);
    tw_file *file = path != NULL ? tw_file_create(path) : NULL;
    free(path);
    if (file == NULL)
        return -1;
    fprintf(tw_file_stream(file), "%s\n", text);
    return tw_file_commit(file);
}
