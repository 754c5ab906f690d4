#include "source/unpack.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { IN = 1 << 18, OUT = 1 << 18, PIPE_SIZE = 1 << 20 };
typedef enum { PLAIN, GZIP, ZSTD, FAILED } packing;

struct tw_unpack {
    int fd;
    packing how;
    bool ended;           /* end of file reached */
    bool inside;          /* inside a compressed frame, where the file must not end */
    z_stream z;
    ZSTD_DStream *zstd;
    double waited;
    size_t in_at, in_end, out_at, out_end;
    unsigned char in[IN], out[OUT];
};

/* Appends the bytes of one read(2) to `in`. 0, or -1 and tw_error(). */
static int more(tw_unpack *u)
{
    const double start = tw_now();
    if (u->in_at == u->in_end)
        u->in_at = u->in_end = 0;
    ssize_t got;
    while ((got = read(u->fd, u->in + u->in_end, IN - u->in_end)) < 0 && errno == EINTR)
        ;
    u->waited += tw_now() - start;
    if (got < 0)
        return tw_fail_errno("cannot be read");
    u->ended = got == 0;
    u->in_end += (size_t)got;
    return 0;
}

/* Whether the four bytes begin a zstd frame: a data frame, or a skippable one (50 .. 5f 2a 4d 18), which some compressors write first. */
static bool is_zstd(const unsigned char *p)
{
    return memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 || ((p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0);
}

tw_unpack *tw_unpack_open(const char *path)
{
    tw_unpack *u = tw_calloc(1, sizeof *u);
    if (u == NULL)
        return NULL;
    u->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0) {
        tw_fail_errno("%s", path);
        goto err;
    }
    if (isatty(u->fd) == 1) {
        tw_fail("%s: a terminal; want an archive", path);
        goto err;
    }
    fcntl(u->fd, F_SETPIPE_SZ, PIPE_SIZE); /* an error is ignored: not a pipe */
    while (u->in_end < 4 && !u->ended)
        if (more(u) != 0) {
            tw_fail("%s: %s", path, tw_error());
            goto err;
        }
    if (u->in_end >= 2 && memcmp(u->in, "\x1f\x8b", 2) == 0)
        u->how = inflateInit2(&u->z, 16 + MAX_WBITS) == Z_OK ? GZIP : FAILED;
    else if (u->in_end >= 4 && is_zstd(u->in))
        u->how = (u->zstd = ZSTD_createDStream()) != NULL ? ZSTD : FAILED;
    if (u->how != FAILED)
        return u;
    tw_fail("%s: out of memory", path);
err:
    tw_unpack_close(u);
    return NULL;
}

void tw_unpack_close(tw_unpack *u)
{
    if (u == NULL)
        return;
    if (u->how == GZIP)
        inflateEnd(&u->z);
    ZSTD_freeDStream(u->zstd);
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

/* Decompresses from in[in_at, in_end) to out[0, out_end). 0, or -1 and tw_error(). */
static int gunzip(tw_unpack *u)
{
    if (!u->inside && u->in[u->in_at] != 0x1f) { /* bytes after the last gzip member are padding, as on tapes */
        u->in_at = u->in_end;
        return 0;
    }
    u->z.next_in = u->in + u->in_at;
    u->z.avail_in = (unsigned)(u->in_end - u->in_at);
    u->z.next_out = u->out;
    u->z.avail_out = OUT;
    const int rc = inflate(&u->z, Z_NO_FLUSH);
    u->in_at = u->in_end - u->z.avail_in;
    u->out_end = OUT - u->z.avail_out;
    u->inside = rc != Z_STREAM_END;
    if (rc == Z_STREAM_END) /* another gzip member may follow */
        return inflateReset(&u->z) == Z_OK ? 0 : tw_fail("gzip: cannot go on");
    return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : tw_fail("gzip: %s", u->z.msg != NULL ? u->z.msg : "damaged data");
}

static int unzstd(tw_unpack *u)
{
    ZSTD_inBuffer in = {u->in + u->in_at, u->in_end - u->in_at, 0};
    ZSTD_outBuffer out = {u->out, OUT, 0};
    const size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);
    if (ZSTD_isError(rc))
        return tw_fail("zstd: %s", ZSTD_getErrorName(rc));
    u->in_at += in.pos;
    u->out_end = out.pos;
    u->inside = rc != 0;
    return 0;
}

/* Refills `out`. 1; 0 at the end; -1 and tw_error(). */
static int fill(tw_unpack *u)
{
    u->out_at = u->out_end = 0;
    while (u->out_end == 0) {
        const bool had = u->in_at < u->in_end || u->inside; /* a decoder may still hold output that needs no more input */
        const size_t before = u->in_at;
        errno = 0;
        if (had && (u->how == GZIP ? gunzip(u) : unzstd(u)) != 0)
            return errno == ENOMEM ? tw_fail_errno("cannot be unpacked") : -1;
        if (u->out_end > 0 || (had && u->in_at != before))
            continue;
        if (u->ended)
            return u->inside ? tw_fail("%s: the packed data are truncated", u->how == GZIP ? "gzip" : "zstd") : 0;
        if (more(u) != 0)
            return -1;
    }
    return 1;
}

/* Copies or skips up to n bytes, as many as are available. 0 at the end; -1 and tw_error(). */
static int64_t take(tw_unpack *u, void *to, int64_t n)
{
    const bool plain = u->how == PLAIN;
    size_t *at = plain ? &u->in_at : &u->out_at;
    const size_t *end = plain ? &u->in_end : &u->out_end;
    if (*at == *end && !plain) {
        const int rc = fill(u);
        if (rc <= 0)
            return rc;
    }
    if (*at == *end && plain && !u->ended && more(u) != 0)
        return -1;
    const size_t left = *end - *at, some = (uint64_t)n < left ? (size_t)n : left;
    if (to != NULL)
        memcpy(to, (plain ? u->in : u->out) + *at, some);
    *at += some;
    return (int64_t)some;
}

int64_t tw_unpack_read(void *unpack, void *to, int64_t n)
{
    int64_t done = 0;
    while (done < n) {
        const int64_t got = take(unpack, to != NULL ? (char *)to + done : NULL, n - done);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

double tw_unpack_waited(const tw_unpack *u)
{
    return u->waited;
}
