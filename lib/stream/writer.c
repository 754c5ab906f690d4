#include "stream/writer.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "stream/net.h"
#include "stream/zmq.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Small records are buffered until there are HOLD bytes, or until a record comes HOLD_FOR seconds or more after the last write, so that a slow
 * stream is not held up. Large ones are written at once, without a copy. */
enum { HOLD = 65536, PIPE_SIZE = 1 << 20, AT_ONCE = 64, MESSAGE = 256 /* largest message accepted from the reader, bytes */ };
#define HOLD_FOR 0.02

struct tw_writer {
    int fd;
    tw_file *file; /* NULL: standard output */
    bool in_place; /* a file written under its final name (tw_writer_append) */
    tw_net *net; /* used instead of fd if not NULL */
    char *name;
    tw_bytes held;
    tw_parts parts;
    int64_t samples;
    double waited, last; /* last: time of the last write */
    bool failed;
    char error[1024];
};

static int fail(tw_writer *w)
{
    w->failed = true;
    snprintf(w->error, sizeof w->error, "%s", tw_error());
    return -1;
}

/* Writes the pieces in order; modifies v. */
static int write_pieces(tw_writer *w, struct iovec *v, int n)
{
    const double start = tw_now();
    if (w->net != NULL && tw_net_write(w->net, v, n) != 0) {
        tw_fail("%s: %s", w->name, tw_error());
        return fail(w);
    }
    while (n > 0 && w->net == NULL) {
        ssize_t done = writev(w->fd, v, n < AT_ONCE ? n : AT_ONCE);
        if (done < 0 && errno == EAGAIN) { /* another process has made the pipe non-blocking */
            struct pollfd p = {.fd = w->fd, .events = POLLOUT};
            poll(&p, 1, -1);
        }
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (done < 0) {
            tw_fail_errno("%s", w->name);
            return fail(w);
        }
        for (; n > 0 && (size_t)done >= v->iov_len; v++, n--)
            done -= (ssize_t)v->iov_len;
        if (n > 0) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    w->last = tw_now();
    w->waited += w->last - start;
    return 0;
}

/* Writes the buffered records, then these bytes. */
static int write_with_held(tw_writer *w, const void *data, size_t size)
{
    struct iovec v[2] = {{w->held.data, w->held.size}, {(void *)data, size}};
    w->held.size = 0;
    return write_pieces(w, v, 2);
}

/* Writes the buffered records, then this one, its large pieces without a copy. */
static int write_parts(tw_writer *w, const tw_parts *p)
{
    size_t at = 0, n = 0;
    struct iovec *v = tw_calloc(2 * p->n + 2, sizeof *v);
    if (v == NULL)
        return fail(w);
    v[n++] = (struct iovec){w->held.data, w->held.size};
    for (size_t i = 0; i < p->n; i++) {
        v[n++] = (struct iovec){p->text.data + at, p->part[i].at - at};
        v[n++] = (struct iovec){(void *)p->part[i].data, p->part[i].size};
        at = p->part[i].at;
    }
    v[n++] = (struct iovec){p->text.data + at, p->text.size - at};
    w->held.size = 0;
    const int rc = write_pieces(w, v, (int)n);
    free(v);
    return rc;
}

static int write_record(tw_writer *w, const void *data, size_t size)
{
    if (size >= HOLD || w->net != NULL)
        return write_with_held(w, data, size);
    if (tw_grow(&w->held.data, &w->held.cap, w->held.size + size, 1) != 0)
        return fail(w);
    memcpy(w->held.data + w->held.size, data, size);
    w->held.size += size;
    return w->held.size >= HOLD || tw_now() - w->last >= HOLD_FOR ? write_with_held(w, NULL, 0) : 0;
}

static int open_output(tw_writer *w, const char *endpoint)
{
    const bool standard = strcmp(endpoint, "-") == 0;
    w->name = strdup(standard ? "standard output" : endpoint);
    if (w->name == NULL)
        return tw_fail("out of memory");
    if (tw_zmq_is(endpoint)) {
        w->net = tw_net_open(endpoint, true, MESSAGE);
        return w->net != NULL ? 0 : -1;
    }
    if (strncmp(endpoint, "pipe:", 5) == 0)
        return tw_fail("%s: a command can be read from, not written to", endpoint);
    w->fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
    if (standard && w->fd < 0)
        return tw_fail_errno("%s", w->name);
    if (!standard) {
        w->file = tw_file_create(endpoint);
        if (w->file == NULL)
            return -1;
        w->fd = fileno(tw_file_stream(w->file));
    }
    if (isatty(w->fd) == 1)
        return tw_fail("%s: a terminal: a stream is not written there", w->name);
    fcntl(w->fd, F_SETPIPE_SZ, PIPE_SIZE); /* an error is ignored: not a pipe */
    return 0;
}

static int write_header(tw_writer *w, const tw_header *h, const char *history)
{
    tw_header copy = *h;
    if (history != NULL) {
        const size_t n = (size_t)h->n_history;
        copy.history = tw_calloc(n + 1, sizeof *copy.history);
        if (copy.history == NULL)
            return -1;
        if (n > 0)
            memcpy(copy.history, h->history, n * sizeof *copy.history);
        copy.history[copy.n_history++] = history;
    }
    int rc = tw_encode_header(&w->held, &copy);
    if (rc != 0)
        tw_fail("%s: header: %s", w->name, tw_error());
    if (history != NULL)
        free(copy.history);
    return rc != 0 ? -1 : write_with_held(w, NULL, 0); /* not buffered: the reader can start its preparations */
}

tw_writer *tw_writer_open(const char *endpoint, const tw_header *h, const char *history)
{
    tw_writer *w = tw_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->fd = -1;
    if (open_output(w, endpoint) == 0 && write_header(w, h, history) == 0)
        return w;
    tw_writer_abandon(w);
    return NULL;
}

/* Opens the file and truncates it to `keep` bytes. */
static int open_kept(tw_writer *w, const char *path, int64_t keep)
{
    w->name = strdup(path);
    if (w->name == NULL)
        return tw_fail("out of memory");
    w->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (w->fd < 0 || ftruncate(w->fd, keep) != 0 || lseek(w->fd, keep, SEEK_SET) < 0)
        return tw_fail_errno("%s", path);
    w->in_place = true;
    return 0;
}

tw_writer *tw_writer_append(const char *path, const tw_header *h, const char *history, int64_t keep, int64_t samples)
{
    tw_writer *w = tw_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->fd = -1;
    w->samples = samples;
    if (open_kept(w, path, keep) == 0 && (keep > 0 || write_header(w, h, history) == 0))
        return w;
    tw_writer_abandon(w);
    return NULL;
}

int tw_writer_sample(tw_writer *w, const tw_sample *s)
{
    if (w->failed)
        return tw_fail("%s", w->error);
    if (tw_parts_sample(&w->parts, s) != 0) {
        tw_fail("%s: sample %lld: %s", w->name, (long long)w->samples, tw_error());
        return fail(w);
    }
    return tw_writer_parts(w, &w->parts);
}

int tw_writer_parts(tw_writer *w, const tw_parts *p)
{
    if (w->failed)
        return tw_fail("%s", w->error);
    w->samples++;
    return p->n > 0 ? write_parts(w, p) : write_record(w, p->text.data, p->text.size);
}

int tw_writer_encoded(tw_writer *w, const void *data, size_t size)
{
    if (w->failed)
        return tw_fail("%s", w->error);
    w->samples++;
    return write_record(w, data, size);
}

int tw_writer_flush(tw_writer *w)
{
    if (w->failed)
        return tw_fail("%s", w->error);
    return w->held.size > 0 ? write_with_held(w, NULL, 0) : 0;
}

double tw_writer_waited(const tw_writer *w)
{
    return w->waited;
}

/* Closes and frees. ok: a temporary file is renamed, else removed. */
static int close_output(tw_writer *w, bool ok)
{
    int rc = ok ? 0 : -1;
    if (w->net != NULL && ok && tw_net_finish(w->net) != 0)
        rc = tw_fail("%s: %s", w->name, tw_error());
    tw_net_close(w->net);
    if (w->file != NULL && ok)
        rc = tw_file_commit(w->file);
    else if (w->file != NULL)
        tw_file_abandon(w->file);
    else if (w->in_place && ok && fsync(w->fd) != 0)
        rc = tw_fail_errno("%s", w->name);
    if (w->file == NULL && w->fd >= 0 && close(w->fd) != 0 && ok)
        rc = tw_fail_errno("%s", w->name);
    free(w->held.data);
    free(w->name);
    tw_parts_fini(&w->parts);
    free(w);
    return rc;
}

int tw_writer_finish(tw_writer *w, int64_t skipped)
{
    const tw_end end = {w->samples, skipped};
    if (w->failed)
        tw_fail("%s", w->error);
    const bool ok = !w->failed && tw_encode_end(&w->held, &end) == 0 && write_with_held(w, NULL, 0) == 0;
    return close_output(w, ok);
}

void tw_writer_abandon(tw_writer *w)
{
    if (w == NULL)
        return;
    char said[1024]; /* the original error, which one here must not replace */
    snprintf(said, sizeof said, "%s", tw_error());
    if (w->file == NULL && w->fd >= 0 && w->samples > 0 && !w->failed && tw_writer_flush(w) != 0)
        tw_fail("%s", said);
    close_output(w, false);
}
