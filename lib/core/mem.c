#include "core/mem.h"

#include "core/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A request of 1 GiB or more is taken for a bad size in a file, not for a shortage of memory. */
static int fail(size_t bytes)
{
    if (bytes < (size_t)1 << 30)
        tw_short();
    return tw_fail("out of memory for %zu bytes", bytes);
}

bool tw_mul(size_t *out, size_t a, size_t b)
{
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

void *tw_calloc(size_t n, size_t size)
{
    void *p = calloc(n != 0 ? n : 1, size != 0 ? size : 1);
    if (p == NULL) {
        tw_fail("out of memory for %zu x %zu bytes", n, size);
        if (size == 0 || n < ((size_t)1 << 30) / size)
            tw_short();
    }
    return p;
}

int tw_reserve(void *block, size_t *cap, size_t n, size_t size)
{
    size_t bytes;
    if (n <= *cap)
        return 0;
    if (!tw_mul(&bytes, n, size))
        return tw_fail("out of memory for %zu x %zu bytes", n, size);
    void *old, *p;
    memcpy(&old, block, sizeof old);
    p = realloc(old, bytes);
    if (p == NULL)
        return fail(bytes);
    memcpy(block, &p, sizeof p);
    *cap = n;
    return 0;
}

int tw_grow(void *block, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap)
        return 0;
    const size_t want = *cap < SIZE_MAX / 2 && 2 * *cap > n ? 2 * *cap : n;
    return tw_reserve(block, cap, want < 16 ? 16 : want, size);
}

void *tw_alloc64(size_t bytes)
{
    if (bytes > SIZE_MAX - 64) {
        tw_fail("out of memory for %zu bytes", bytes);
        return NULL;
    }
    void *p = aligned_alloc(64, (bytes + 63 + (bytes == 0)) / 64 * 64);
    if (p == NULL)
        fail(bytes);
    return p;
}
