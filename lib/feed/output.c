#include "feed/output.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE_SIZE = 1 << 20 };

struct tw_output {
    int fd;
    tw_file *file; /* NULL: standard output */
    const char *name;
};

/* Opens standard output non-blocking. A pipe is reopened through /proc: O_NONBLOCK on the inherited open file description would affect all processes
 * that share it. For a socket, or a pipe that another user has made, that is impossible, and the flag is set on the shared one. */
static int open_standard(void)
{
    struct stat st;
    int fd = -1;
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
        fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0 && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
        fcntl(fd, F_SETFL, O_NONBLOCK);
    if (fd >= 0)
        fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
    return fd;
}

tw_output *tw_output_open(const char *endpoint)
{
    const bool standard = strcmp(endpoint, "-") == 0;
    tw_output *o = tw_calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->name = standard ? "standard output" : endpoint;
    if (!standard && (o->file = tw_file_create(endpoint)) == NULL) {
        free(o);
        return NULL;
    }
    o->fd = standard ? open_standard() : fileno(tw_file_stream(o->file));
    if (o->fd >= 0 && isatty(o->fd) != 1)
        return o;
    if (o->fd < 0)
        tw_fail_errno("%s", o->name);
    else
        tw_fail("%s: a terminal: a stream is not written there", o->name);
    tw_output_abandon(o);
    return NULL;
}

int tw_output_fd(const tw_output *o)
{
    return o->fd;
}

int tw_output_write(tw_output *o, const void *data, size_t size, size_t *at)
{
    while (*at < size) {
        const ssize_t n = write(o->fd, (const char *)data + *at, size - *at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : tw_fail_errno("%s", o->name);
        *at += (size_t)n;
    }
    return 1;
}

int tw_output_finish(tw_output *o)
{
    int rc = 0;
    if (o->file != NULL)
        rc = tw_file_commit(o->file);
    else if (close(o->fd) != 0)
        rc = tw_fail_errno("%s", o->name);
    free(o);
    return rc;
}

void tw_output_abandon(tw_output *o)
{
    if (o == NULL)
        return;
    if (o->file != NULL)
        tw_file_abandon(o->file);
    else if (o->fd >= 0)
        close(o->fd);
    free(o);
}
