#include "feed/child.h"

#include "core/error.h"
#include "core/mem.h"
#include "stream/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PIPE_SIZE = 1 << 20,
    CHUNK = 1 << 18,
    LINE = 4096,
    PATIENCE = 50 /* time for a command that has closed its output to exit, in 1/100 s */
};

struct tw_child {
    pid_t pid;
    int in, out, err;
    tw_bytes to;      /* queue for its standard input; the first to_at bytes have been written */
    size_t to_at;
    tw_limits limits;
    tw_scan scan;
    tw_bytes from;    /* the record being received */
    tw_bytes ahead;   /* bytes read from the pipe, not used from ahead_at on */
    size_t ahead_at, usual; /* usual: size of the last record */
    bool closed;      /* its output has ended */
    char line[LINE];
    size_t line_size, line_used;
};

static void run(const char *command, const int fd[3], int64_t memory, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const struct rlimit none = {0, 0}, most = {(rlim_t)memory, (rlim_t)memory};
    setrlimit(RLIMIT_CORE, &none);
    if (memory > 0)
        setrlimit(RLIMIT_AS, &most);
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    for (int i = 0; i < 3; i++)
        if (dup2(fd[i], i) < 0)
            _exit(126);
    close_range(3, ~0U, 0); /* also those that the worker has inherited without O_CLOEXEC */
    if (getppid() != parent) /* the parent died before prctl() */
        _exit(126);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static bool make_pipe(int fd[2], int ours)
{
    if (pipe2(fd, O_CLOEXEC) != 0)
        return false;
    fcntl(fd[ours], F_SETFL, O_NONBLOCK);
    fcntl(fd[ours], F_SETPIPE_SZ, PIPE_SIZE);
    return true;
}

tw_child *tw_child_start(const char *command, int64_t most, int64_t memory)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    tw_child *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    const pid_t parent = getpid();
    if (make_pipe(in, 1) && make_pipe(out, 0) && make_pipe(err, 0))
        c->pid = fork();
    else
        c->pid = -1;
    if (c->pid == 0)
        run(command, (int[]){in[0], out[1], err[1]}, memory, parent);
    if (c->pid < 0)
        tw_fail_errno("%s", command);
    else
        setpgid(c->pid, c->pid);
    c->in = in[1];
    c->out = out[0];
    c->err = err[0];
    const int theirs[] = {in[0], out[1], err[1]};
    for (int i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    c->limits = (tw_limits)TW_LIMITS_DEFAULT;
    c->limits.record = most;
    tw_scan_init(&c->scan, &c->limits);
    if (c->pid > 0)
        return c;
    tw_child_end(c, NULL, 0);
    return NULL;
}

int tw_child_input(const tw_child *c)
{
    return c->to.size > c->to_at ? c->in : -1;
}

int tw_child_output(const tw_child *c)
{
    return c->closed ? -1 : c->out;
}

int tw_child_errors(const tw_child *c)
{
    return c->err;
}

/* Removes written bytes from the queue, so that it stays small even if it never becomes empty. */
static void make_room(tw_child *c)
{
    if (c->to_at <= c->to.size / 2)
        return;
    memmove(c->to.data, c->to.data + c->to_at, c->to.size - c->to_at);
    c->to.size -= c->to_at;
    c->to_at = 0;
}

int tw_child_give(tw_child *c, const void *data, size_t size)
{
    make_room(c);
    return tw_bytes_append(&c->to, data, size);
}

int tw_child_give_sample(tw_child *c, const tw_sample *s)
{
    make_room(c);
    return tw_encode_sample(&c->to, s);
}

void tw_child_pump(tw_child *c)
{
    while (c->in >= 0 && c->to_at < c->to.size) {
        const ssize_t n = write(c->in, c->to.data + c->to_at, c->to.size - c->to_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) { /* EPIPE: the command has ended or will; the end of its output tells */
            close(c->in);
            c->in = -1;
        }
        if (n < 0)
            break;
        c->to_at += (size_t)n;
    }
    if (c->in < 0 || c->to_at == c->to.size)
        c->to_at = c->to.size = 0;
}

/* Refills `ahead` if it is empty. 1; 0: nothing to read now; -1 and tw_error(): the output has ended, or an error. */
static int fill(tw_child *c)
{
    if (c->ahead_at < c->ahead.size)
        return 1;
    if (tw_grow(&c->ahead.data, &c->ahead.cap, CHUNK, 1) != 0)
        return -1;
    const ssize_t n = read(c->out, c->ahead.data, CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        c->closed = true;
        return tw_fail(n < 0 ? "its output cannot be read" : "its output has ended");
    }
    c->ahead_at = 0;
    c->ahead.size = (size_t)n;
    return 1;
}

int tw_child_record(tw_child *c, void **record, size_t *size, size_t *last_key)
{
    for (;;) {
        const int more = c->closed ? tw_fail("its output has ended") : fill(c);
        if (more <= 0)
            return more;
        /* only the bytes that the scanner is sure to need are moved: further ones may belong to the next record */
        if (c->from.size == 0 && tw_grow(&c->from.data, &c->from.cap, c->usual, 1) != 0)
            return -1;
        const size_t have = c->from.size, left = c->ahead.size - c->ahead_at;
        size_t some = c->scan.need > have ? c->scan.need - have : 1;
        if (some > left)
            some = left;
        if (tw_bytes_append(&c->from, c->ahead.data + c->ahead_at, some) != 0)
            return -1;
        c->ahead_at += some;
        if (c->from.size < c->scan.need)
            continue;
        const int rc = tw_scan_run(&c->scan, c->from.data, c->from.size);
        if (rc < 0) {
            c->closed = true;
            tw_fail("its output is not a stream of records of at most %lld bytes (--max-bytes of the head): %s",
                    (long long)c->limits.record, tw_error());
            return -2;
        }
        if (rc == 0)
            continue;
        *record = c->from.data;
        *size = c->usual = c->scan.at;
        *last_key = c->scan.last_key;
        c->from = (tw_bytes){0};
        tw_scan_init(&c->scan, &c->limits);
        return 1;
    }
}

const char *tw_child_line(tw_child *c)
{
    memmove(c->line, c->line + c->line_used, c->line_size - c->line_used);
    c->line_size -= c->line_used;
    c->line_used = 0;
    for (;;) {
        char *end = memchr(c->line, '\n', c->line_size);
        if (end != NULL) {
            *end = '\0';
            c->line_used = (size_t)(end - c->line) + 1;
            return c->line;
        }
        if (c->line_size == sizeof c->line - 1 || (c->err < 0 && c->line_size > 0)) { /* too long; or the last line, without a line end */
            c->line[c->line_size] = '\0';
            c->line_used = c->line_size;
            return c->line;
        }
        const ssize_t n = c->err >= 0 ? read(c->err, c->line + c->line_size, sizeof c->line - 1 - c->line_size) : 0;
        if (n == 0 && c->err >= 0) {
            close(c->err);
            c->err = -1;
            continue;
        }
        if (n <= 0)
            return NULL;
        c->line_size += (size_t)n;
    }
}

int tw_child_end(tw_child *c, char *cause, size_t size)
{
    int status = 0;
    const struct timespec tick = {0, 10000000};
    if (c == NULL)
        return 0;
    if (c->in >= 0)
        close(c->in);
    bool gone = c->pid <= 0;
    for (int i = 0; !gone && c->closed && i < PATIENCE; i++) { /* it is ending: wait for its true exit status */
        gone = waitpid(c->pid, &status, WNOHANG) != 0;
        if (!gone)
            nanosleep(&tick, NULL);
    }
    if (c->pid > 0)
        kill(-c->pid, SIGKILL);
    if (!gone)
        waitpid(c->pid, &status, 0);
    if (cause != NULL && WIFSIGNALED(status))
        snprintf(cause, size, "the command was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (cause != NULL)
        snprintf(cause, size, "the command ended with status %d", WEXITSTATUS(status));
    if (c->out >= 0)
        close(c->out);
    if (c->err >= 0)
        close(c->err);
    free(c->to.data);
    free(c->from.data);
    free(c->ahead.data);
    free(c);
    return WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
}
