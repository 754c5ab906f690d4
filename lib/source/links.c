#include "source/links.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 40 }; /* links followed in a row, as in Linux */

void tw_links_init(tw_links *l, int fd, int64_t size)
{
    *l = (tw_links){.archive = {.fd = fd, .size = size}, .used = 1}; /* offset 0 stands for no name */
}

void tw_links_fini(tw_links *l)
{
    free(l->member);
    free(l->names);
}

/* Normalises a path in place: removes empty components, ".", and ".." with the component before it, if there is one. */
static void straighten(char *path)
{
    char *to = path + (*path == '/'), *root = to;
    for (const char *p = to, *end; *p != '\0'; p = end + strspn(end, "/")) {
        end = p + strcspn(p, "/");
        const size_t n = (size_t)(end - p);
        const bool up = n == 2 && memcmp(p, "..", 2) == 0;
        if (n == 0 || (n == 1 && *p == '.'))
            continue;
        char *last = to;
        while (last > root && last[-1] != '/')
            last--;
        if (up && to > root && !(to - last == 2 && memcmp(last, "..", 2) == 0)) {
            to = last > root ? last - 1 : root;
            continue;
        }
        if (to > root)
            *to++ = '/';
        memmove(to, p, n);
        to += n;
    }
    *to = '\0';
}

/* Stores the path made of the first n bytes of `folder` and of `name`, normalised. Returns its offset, or 0 and tw_error(). */
static size_t keep(tw_links *l, const char *folder, size_t n, const char *name)
{
    const size_t size = strlen(name) + 1, at = l->used;
    if (tw_grow(&l->names, &l->names_cap, at + n + size, 1) != 0)
        return 0;
    if (n > 0)
        memcpy(l->names + at, folder, n);
    memcpy(l->names + at + n, name, size);
    straighten(l->names + at);
    l->used += strlen(l->names + at) + 1;
    return at;
}

static int add(tw_links *l, const tw_tar_member *m)
{
    const char *slash = strrchr(m->name, '/');
    const size_t folder = m->symbolic && slash != NULL && m->link[0] != '/' ? (size_t)(slash + 1 - m->name) : 0;
    if (tw_grow(&l->member, &l->cap, l->n + 1, sizeof *l->member) != 0)
        return -1;
    const size_t name = keep(l, NULL, 0, m->name), target = m->link != NULL ? keep(l, m->name, folder, m->link) : 0;
    if (name == 0 || (m->link != NULL && target == 0))
        return -1;
    l->member[l->n++] = (tw_linked){name, target, m->at, m->size, m->symbolic};
    return 0;
}

static int by_name(const void *a, const void *b, void *links)
{
    const tw_links *l = links;
    const tw_linked *x = a, *y = b;
    const int c = strcmp(l->names + x->name, l->names + y->name);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

/* Collects all members. In a damaged archive, those before the damage: it is reported by the code that reads the pictures. */
static int walk(tw_links *l)
{
    tw_tar tar;
    tw_tar_member m;
    int rc = 0;
    const unsigned before = tw_shortages();
    tw_tar_init(&tar, tw_archive_read, &l->archive);
    while (rc == 0 && tw_tar_next(&tar, &m) == 1)
        rc = add(l, &m);
    tw_tar_fini(&tar);
    if (rc != 0 || l->archive.failed || tw_shortages() != before)
        return -1;
    l->walked = true;
    if (l->n > 1)
        qsort_r(l->member, l->n, sizeof *l->member, by_name, l);
    return 0;
}

/* The last member of that name at offset `most` or before; NULL: none. */
static const tw_linked *last(const tw_links *l, const char *name, int64_t most)
{
    size_t from = 0, to = l->n; /* members before `from` are at or before (name, most), those from `to` on are after it */
    while (from < to) {
        const size_t i = from + (to - from) / 2;
        const int c = strcmp(l->names + l->member[i].name, name);
        if (c < 0 || (c == 0 && l->member[i].at <= most))
            from = i + 1;
        else
            to = i;
    }
    return from > 0 && strcmp(l->names + l->member[from - 1].name, name) == 0 ? &l->member[from - 1] : NULL;
}

int tw_links_find(tw_links *l, tw_tar_member *link)
{
    if (!l->walked && walk(l) != 0)
        return -1;
    const size_t name = keep(l, NULL, 0, link->name);
    if (name == 0)
        return -1;
    l->used = name; /* removes the name again: it was stored for this search only */
    const tw_linked *m = last(l, l->names + name, link->at);
    for (int i = 0; m != NULL && m->target != 0; i++)
        m = i < MAX_STEPS ? last(l, l->names + m->target, m->symbolic ? INT64_MAX : m->at - 1) : NULL;
    if (m == NULL || m->at > l->archive.size || m->size > l->archive.size - m->at)
        return 0;
    link->at = m->at;
    link->size = m->size;
    return 1;
}

int tw_links_read(tw_links *l, void *to, const tw_tar_member *found)
{
    l->archive.place = found->at;
    const int64_t got = tw_archive_read(&l->archive, to, found->size);
    return got == found->size ? 0 : got < 0 ? -1 : tw_fail("truncated at byte %lld", (long long)(found->at + got));
}
