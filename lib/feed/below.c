#include "feed/below.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* For kernels without openat2 (before 5.6): opens the path component by component and follows no links at all. */
static int walk(int folder, const char *path)
{
    int at = dup(folder);
    while (at >= 0) {
        char part[256];
        const size_t n = strcspn(path, "/");
        const bool last = path[n] == '\0';
        if (n == 0 || n >= sizeof part || (n <= 2 && strspn(path, ".") >= n)) {
            close(at);
            errno = n >= sizeof part ? ENAMETOOLONG : EXDEV;
            return -1;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        const int next = openat(at, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
        close(at);
        if (last)
            return next;
        at = next;
        path += n + 1;
    }
    return -1;
}

static int open_below(int folder, const char *path)
{
    struct stat st;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd;
    for (int tries = 0; (fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how)) < 0 && tries < 100; tries++)
        if (tw_is_short(errno))
            nanosleep(&(struct timespec){0, 50000000}, NULL);
        else if (errno != EAGAIN) /* EAGAIN: a rename raced with a ".." */
            break;
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = walk(folder, path);
    if (fd < 0 && tw_is_short(errno)) /* not the picture's fault */
        tw_short();
    if (fd < 0)
        return errno == EXDEV ? tw_fail("leads out of the root (see --root and --ship)") : tw_fail("%s", strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return tw_fail("not a regular file");
}

int tw_below_read(int folder, const char *path, int64_t offset, int64_t length, int64_t most, void **block, size_t *size)
{
    struct stat st;
    *block = NULL;
    const int fd = open_below(folder, path);
    if (fd < 0)
        return -1;
    int rc = 0;
    if (length < 0)
        length = fstat(fd, &st) == 0 ? st.st_size : 0;
    if (length > most)
        rc = tw_fail("larger than %lld bytes", (long long)most);
    else if ((*block = malloc((size_t)length + 1)) == NULL) { /* not the picture's fault */
        tw_short();
        rc = tw_fail("out of memory");
    }
    for (*size = 0; rc == 0 && *size < (size_t)length;) {
        const ssize_t got = pread(fd, (char *)*block + *size, (size_t)length - *size, offset + (int64_t)*size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            rc = got < 0 ? tw_fail("%s", strerror(errno)) : tw_fail("truncated");
        else
            *size += (size_t)got;
    }
    close(fd);
    if (rc != 0) {
        free(*block);
        *block = NULL;
    }
    return rc;
}
