#include "source/tar.h"

#include "core/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, MAX_EXTENSION = 1 << 20 };

/* Offsets in a header block (POSIX.1-2017, pax, "ustar Interchange Format"). */
enum { NAME = 0, SIZE = 124, CHECKSUM = 148, TYPE = 156, LINK = 157, MAGIC = 257, PREFIX = 345 };

void tw_tar_init(tw_tar *t, tw_tar_source *source, void *context)
{
    *t = (tw_tar){.source = source, .context = context, .pax_size = -1};
}

void tw_tar_fini(tw_tar *t)
{
    free(t->name);
    free(t->link);
    free(t->long_name);
    free(t->long_link);
    t->name = t->link = t->long_name = t->long_link = NULL;
}

static int cut(const tw_tar *t)
{
    return tw_fail("truncated at byte %lld", (long long)t->at);
}

/* Reads or (to NULL) skips exactly n bytes. 0, or -1 and tw_error(). */
static int take(tw_tar *t, void *to, int64_t n)
{
    if (n == 0)
        return 0;
    const int64_t got = t->source(t->context, to, n);
    if (got < 0)
        return -1;
    t->at += got;
    return got == n ? 0 : cut(t);
}

/* A header number of n bytes: octal digits after optional spaces, ended by a NUL or space; or, if the first bit is set, GNU's big-endian binary. -1:
 * malformed or too large. */
static int64_t number(const unsigned char *p, int n)
{
    int64_t v = 0;
    int i = 0;
    if (p[0] & 0x80) {
        if (p[0] != 0x80)
            return -1; /* negative, or of more than 88 bits */
        for (i = 1; i < n; i++) {
            if (v >> 54 != 0)
                return -1;
            v = v << 8 | p[i];
        }
        return v;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (p[i] - '0');
    return i == n || p[i] == '\0' || p[i] == ' ' ? v : -1;
}

/* Whether the checksum is right: the sum of the header's bytes, with spaces in the checksum field; some old writers summed signed bytes. */
static bool sum_is_right(const unsigned char *h)
{
    int64_t plain = 0, with_sign = 0;
    for (int i = 0; i < BLOCK; i++) {
        const unsigned char c = i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : h[i];
        plain += c;
        with_sign += (signed char)c;
    }
    const int64_t said = number(h + CHECKSUM, 8);
    return said == plain || said == with_sign;
}

static bool is_zero(const unsigned char *h)
{
    for (int i = 0; i < BLOCK; i++)
        if (h[i] != 0)
            return false;
    return true;
}

/* The name in the header itself. */
static char *short_name(const unsigned char *h)
{
    const size_t n = strnlen((const char *)h + NAME, 100);
    const bool posix = memcmp(h + MAGIC, "ustar\0", 6) == 0; /* in GNU's format, "ustar  ", other data are in the place of the prefix */
    const size_t p = posix ? strnlen((const char *)h + PREFIX, 155) : 0;
    char *name = malloc(p + n + 2);
    if (name == NULL)
        return NULL;
    memcpy(name, h + PREFIX, p);
    if (p > 0)
        name[p] = '/';
    memcpy(name + p + (p > 0), h + NAME, n);
    name[p + (p > 0) + n] = '\0';
    return name;
}

/* *kept becomes the text, up to a NUL byte. 0, or -1 and errno. */
static int keep(char **kept, const char *text, size_t n)
{
    free(*kept);
    return (*kept = strndup(text, n)) != NULL ? 0 : -1;
}

static int keep_size(int64_t *kept, const char *d, const char *end)
{
    int64_t v = 0;
    for (; d < end; d++) {
        if (*d < '0' || *d > '9' || v > INT64_MAX / 16)
            return -1;
        v = v * 10 + (*d - '0');
    }
    *kept = v;
    return 0;
}

/* Reads one record "LENGTH KEY=VALUE\n" of a pax header, of which n bytes are left. Its length; 0: malformed, or of a sparse file. */
static size_t pax_record(tw_tar *t, const char *p, size_t n)
{
    size_t length = 0, i = 0;
    for (; i < n && i < 8 && p[i] >= '0' && p[i] <= '9'; i++)
        length = length * 10 + (size_t)(p[i] - '0');
    if (i == 0 || i == n || p[i] != ' ' || length > n || length < i + 3 || p[length - 1] != '\n')
        return 0;
    const char *key = p + i + 1, *end = p + length - 1, *eq = memchr(key, '=', (size_t)(end - key));
    if (eq == NULL)
        return 0;
    const size_t named = (size_t)(eq - key), size = (size_t)(end - eq - 1);
    int rc = 0;
    if (named == 4 && memcmp(key, "path", 4) == 0)
        rc = keep(&t->long_name, eq + 1, size);
    else if (named == 8 && memcmp(key, "linkpath", 8) == 0)
        rc = keep(&t->long_link, eq + 1, size);
    else if (named == 4 && memcmp(key, "size", 4) == 0)
        rc = keep_size(&t->pax_size, eq + 1, end);
    else if (named > 10 && memcmp(key, "GNU.sparse", 10) == 0)
        rc = -1;
    return rc == 0 ? length : 0;
}

static int read_pax(tw_tar *t, const char *text, size_t n)
{
    errno = 0;
    for (size_t at = 0; at < n;) {
        const size_t length = pax_record(t, text + at, n - at);
        if (length == 0 && errno == ENOMEM)
            return tw_fail_errno("byte %lld", (long long)t->at);
        if (length == 0)
            return tw_fail("byte %lld: a damaged or sparse pax header", (long long)t->at);
        at += length;
    }
    return 0;
}

/* Reads an extension header: name (L), link target (K) or pax records (x) of the next member. */
static int read_extension(tw_tar *t, char type, int64_t size)
{
    if (size > MAX_EXTENSION)
        return tw_fail("byte %lld: an extension header of %lld bytes", (long long)t->at, (long long)size);
    char *text = malloc((size_t)size + 1);
    if (text == NULL)
        return tw_fail_errno("byte %lld", (long long)t->at);
    int rc = take(t, text, size);
    text[size] = '\0';
    if (rc == 0)
        rc = take(t, NULL, -size & (BLOCK - 1));
    if (rc == 0 && type != 'x') {
        char **named = type == 'L' ? &t->long_name : &t->long_link;
        free(*named);
        *named = text;
        return 0;
    }
    if (rc == 0)
        rc = read_pax(t, text, (size_t)size);
    free(text);
    return rc;
}

/* Links, devices and folders have no content, whatever size the header has. */
static bool is_empty(char type)
{
    return type >= '1' && type <= '6';
}

/* Sets the member's name, size and link target, from extension headers or the header h. */
static int describe(tw_tar *t, const unsigned char *h, tw_tar_member *m)
{
    const char type = (char)h[TYPE];
    m->size = t->pax_size >= 0 ? t->pax_size : number(h + SIZE, 12);
    if (m->size < 0 || m->size > INT64_MAX / 2)
        return tw_fail("byte %lld: a member of an impossible size", (long long)t->at - BLOCK);
    if (is_empty(type))
        m->size = 0;
    m->symbolic = type == '2';
    const bool link = type == '1' || m->symbolic;
    free(t->name);
    free(t->link);
    t->name = t->long_name != NULL ? t->long_name : short_name(h);
    t->link = t->long_link != NULL ? t->long_link : link ? strndup((const char *)h + LINK, 100) : NULL;
    t->long_name = t->long_link = NULL;
    t->pax_size = -1;
    if (t->name == NULL || (link && t->link == NULL))
        return tw_fail_errno("byte %lld", (long long)t->at - BLOCK);
    m->link = link ? t->link : NULL;
    m->name = t->name;
    while (m->name[0] == '.' && m->name[1] == '/')
        m->name += 2;
    m->at = t->at;
    return 0;
}

int tw_tar_next(tw_tar *t, tw_tar_member *m)
{
    unsigned char h[BLOCK];
    for (;;) {
        if (take(t, NULL, t->left) != 0)
            return -1;
        t->left = 0;
        if (take(t, h, BLOCK) != 0)
            return -1;
        if (is_zero(h))
            return 0;
        if (!sum_is_right(h))
            return tw_fail("byte %lld: no tar header", (long long)t->at - BLOCK);
        const char type = (char)h[TYPE];
        if (type == 'L' || type == 'x' || type == 'K' || type == 'g') {
            const int64_t size = number(h + SIZE, 12);
            if (size < 0)
                return tw_fail("byte %lld: a member of an impossible size", (long long)t->at - BLOCK);
            if (type == 'g') /* global pax headers are skipped: they do not carry names or sizes */
                t->left = size + (-size & (BLOCK - 1));
            else if (read_extension(t, type, size) != 0)
                return -1;
            continue;
        }
        if (describe(t, h, m) != 0)
            return -1;
        if (type == 'S')
            return tw_fail("%s: a sparse member, which is not read", m->name);
        t->left = m->size + (-m->size & (BLOCK - 1));
        const size_t length = strlen(m->name);
        const bool folder = length == 0 || m->name[length - 1] == '/'; /* how the old format marks folders */
        if ((type == '\0' || type == '0' || type == '7' || m->link != NULL) && !folder)
            return 1;
    }
}

int tw_tar_read(tw_tar *t, void *to, int64_t size)
{
    if (take(t, to, size) != 0)
        return -1;
    t->left -= size;
    return 0;
}
