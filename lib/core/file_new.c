/* Files written under a temporary name and renamed when complete. */
#include "core/file.h"

#include "core/ending.h"
#include "core/error.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LINKS = 40, MOST_OPEN = 64 };

struct tw_file {
    char *name;        /* as given by the caller, for messages */
    char *path, *temp; /* final path, symbolic links resolved; temporary path, NULL: written in place */
    FILE *stream;
};

/* The temporary files of this process, to be removed if it ends early. Read by a signal handler. */
static char *volatile open_temp[MOST_OPEN];
static volatile pid_t owner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Does nothing in a forked child: the files are its parent's. */
static void remove_all(void)
{
    for (int i = 0; i < MOST_OPEN && owner == getpid(); i++)
        if (open_temp[i] != NULL)
            unlink(open_temp[i]);
}

static void begin(void)
{
    owner = getpid();
    atexit(remove_all);
    tw_on_ending(remove_all);
}

/* Adds a temporary file to the list; beyond MOST_OPEN files it is not removed at an early end. */
static void enter(char *temp)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_OPEN; i++)
        if (open_temp[i] == NULL) {
            open_temp[i] = temp;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* Whether this file (compared by device and inode) is in the list. */
static bool is_ours(const char *temp)
{
    struct stat this, other;
    bool yes = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_OPEN && stat(temp, &this) == 0; i++)
        yes = yes || (open_temp[i] != NULL && stat(open_temp[i], &other) == 0 && this.st_dev == other.st_dev && this.st_ino == other.st_ino);
    pthread_mutex_unlock(&lock);
    return yes;
}

static void leave(const char *temp)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_OPEN; i++)
        if (open_temp[i] == temp)
            open_temp[i] = NULL;
    pthread_mutex_unlock(&lock);
}

/* Length of PATH's folder part with its slash; 0 if there is none. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* Whether the name is that of an open descriptor or a device (in /proc or /dev), wherever it links to. */
static bool stands_for_open(const char *path)
{
    return strncmp(path, "/proc/", 6) == 0 || (strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0);
}

/* PATH with the symbolic links of its last component followed; the target need not exist. The caller frees. NULL and tw_error(). */
static char *target_of(const char *path)
{
    char *at = strdup(path);
    for (int i = 0; at != NULL && !stands_for_open(at); i++) {
        char link[PATH_MAX], *next = NULL;
        const ssize_t n = readlink(at, link, sizeof link - 1);
        if (n < 0)
            return at;
        link[n] = '\0';
        if (i == MOST_LINKS) {
            errno = ELOOP;
            tw_fail_errno("%s", path);
            free(at);
            return NULL;
        }
        if (asprintf(&next, "%.*s%s", link[0] == '/' ? 0 : (int)folder_length(at), at, link) < 0)
            next = NULL;
        free(at);
        at = next;
    }
    if (at == NULL)
        tw_fail("out of memory");
    return at;
}

static void release(tw_file *f)
{
    if (f->temp != NULL)
        leave(f->temp);
    free(f->temp);
    free(f->path);
    free(f->name);
    free(f);
}

static int open_it(tw_file *f)
{
    struct stat st;
    const bool there = stat(f->path, &st) == 0;
    if (stands_for_open(f->path) || (there && !S_ISREG(st.st_mode))) {
        f->stream = fopen(f->path, "we");
        return f->stream != NULL ? 0 : tw_fail_errno("%s", f->name);
    }
    const int n = (int)folder_length(f->path);
    char *temp = NULL;
    for (int i = 0; i < 1000 && f->stream == NULL; i++) { /* the name may be left by a killed process, or used by one of another container */
        free(temp);
        if ((i == 0 ? asprintf(&temp, "%.*s.%s.%ld.tmp", n, f->path, f->path + n, (long)getpid())
                    : asprintf(&temp, "%.*s.%s.%ld%03d.tmp", n, f->path, f->path + n, (long)getpid(), i)) < 0)
            return tw_fail("out of memory");
        f->stream = fopen(temp, "wxe");
        if (f->stream != NULL || errno != EEXIST)
            break;
        if (is_ours(temp)) {
            free(temp);
            return tw_fail("%s: is already being written to: give each output its own file", f->name);
        }
    }
    if (f->stream == NULL) {
        tw_fail_errno("%s", f->name);
        free(temp);
        return -1;
    }
    f->temp = temp;
    enter(temp);
    if (there) /* who could read the file before can now, and nobody else */
        fchmod(fileno(f->stream), st.st_mode & 0777);
    return 0;
}

tw_file *tw_file_create(const char *path)
{
    tw_file *f = tw_calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->name = strdup(path);
    f->path = f->name != NULL ? target_of(path) : NULL;
    if (f->path != NULL && open_it(f) == 0)
        return f;
    if (f->name == NULL)
        tw_fail("out of memory");
    release(f);
    return NULL;
}

bool tw_file_is_temporary(const char *entry, const char *name)
{
    const size_t n = strlen(name);
    if (entry[0] != '.' || strncmp(entry + 1, name, n) != 0 || entry[n + 1] != '.')
        return false;
    const char *pid = entry + n + 2;
    return strcmp(pid + strspn(pid, "0123456789"), ".tmp") == 0;
}

FILE *tw_file_stream(tw_file *f)
{
    return f->stream;
}

static void sync_folder(const char *path)
{
    const size_t n = folder_length(path);
    char *folder = n != 0 ? strndup(path, n) : strdup(".");
    const int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
    if (fd >= 0) {
        fsync(fd); /* failure is ignored: some file systems do not support it, and the rename itself has been done */
        close(fd);
    }
    free(folder);
}

int tw_file_probe(const char *path)
{
    struct stat st;
    if (stands_for_open(path))
        return 0;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return access(path, W_OK) == 0 ? 0 : tw_fail_errno("%s", path);
    tw_file *f = tw_file_create(path);
    tw_file_abandon(f);
    return f != NULL ? 0 : -1;
}

int tw_file_no_terminal(const char *path)
{
    struct stat st;
    if (path == NULL || stat(path, &st) != 0 || !S_ISCHR(st.st_mode)) /* opening a FIFO would look to its reader like a writer that ends at once */
        return 0;
    const int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    const bool terminal = fd >= 0 && isatty(fd) == 1;
    if (fd >= 0)
        close(fd);
    return terminal ? tw_fail("%s: a terminal: only text is written there", path) : 0;
}

int tw_file_commit(tw_file *f)
{
    bool ok = fflush(f->stream) == 0 && !ferror(f->stream);
    if (ok && f->temp != NULL)
        ok = fsync(fileno(f->stream)) == 0;
    int err = ok ? 0 : errno;
    if (fclose(f->stream) != 0 && ok) {
        ok = false;
        err = errno;
    }
    if (!ok)
        errno = err != 0 ? err : EIO;
    if (ok && f->temp != NULL)
        ok = rename(f->temp, f->path) == 0;
    if (!ok)
        tw_fail_errno("%s", f->name);
    if (ok && f->temp != NULL)
        sync_folder(f->path);
    if (!ok && f->temp != NULL)
        unlink(f->temp);
    release(f);
    return ok ? 0 : -1;
}

void tw_file_abandon(tw_file *f)
{
    if (f == NULL)
        return;
    fclose(f->stream);
    if (f->temp != NULL)
        unlink(f->temp);
    release(f);
}
