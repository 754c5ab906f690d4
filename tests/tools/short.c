/* To be preloaded: the SHORT-th piece of memory that the program asks for is not there. Says "short" on standard error then. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

static bool is_short(void)
{
    static _Atomic long asked;
    const char *which = getenv("SHORT");
    if (which == NULL || ++asked != atol(which))
        return false;
    errno = ENOMEM;
    return write(2, "short\n", 6) == 6;
}

void *malloc(size_t n)
{
    return is_short() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return is_short() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return is_short() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t to, size_t n)
{
    return is_short() ? NULL : __libc_memalign(to, n);
}
