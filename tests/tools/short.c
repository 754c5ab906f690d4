/* To be preloaded: the SHORT-th piece of memory that the program asks for is not there, or its UNREAD-th pread() fails. Says "short" on
 * standard error then. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

extern ssize_t __pread64(int, void *, size_t, off_t);
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

static bool is_short(const char *what, int why)
{
    static _Atomic long asked;
    const char *which = getenv(what);
    if (which == NULL || ++asked != atol(which))
        return false;
    errno = why;
    return write(2, "short\n", 6) == 6;
}

static bool no_memory(void)
{
    return is_short("SHORT", ENOMEM);
}

void *malloc(size_t n)
{
    return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return no_memory() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t to, size_t n)
{
    return no_memory() ? NULL : __libc_memalign(to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    return is_short("UNREAD", EIO) ? -1 : __pread64(fd, to, n, at);
}
