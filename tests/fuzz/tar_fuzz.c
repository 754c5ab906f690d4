/* Goal: whatever bytes an archive is made of, its members lie within it, their contents are what lies there, the walk ends, walking
 * with and without contents finds the same pictures, and following links finds more of them, within it too. */
#include "core/error.h"
#include "source/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* Puts the sum of every block that might be a header right, or nothing behind it would ever be looked at. */
static void mend(uint8_t *d, size_t size)
{
    for (; size >= 512; d += 512, size -= 512) {
        unsigned sum = 0;
        memset(d + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += d[i];
        if (sum == 8 * ' ') { /* an end mark */
            memset(d + 148, 0, 8);
            continue;
        }
        for (int i = 0; i < 6; i++)
            d[148 + i] = (uint8_t)('0' + (sum >> (15 - 3 * i) & 7));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max);
    if (seed % 4 != 0)
        mend(data, size);
    return size;
}

#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

typedef struct {
    const uint8_t *data;
    int64_t size, at;
} archive;

static int64_t on_read(void *context, void *to, int64_t n)
{
    archive *a = context;
    const int64_t left = a->size - a->at, some = n < left ? n : left;
    MUST(n >= 0);
    if (to != NULL)
        memcpy(to, a->data + a->at, (size_t)some);
    a->at += some;
    return some;
}

/* A number that stands for all that was found; *pictures: how many. links: NULL, or those of the archive. */
static uint64_t walk(const uint8_t *data, size_t size, bool keep, tw_links *links, int *pictures, bool *whole)
{
    archive a = {data, (int64_t)size, 0};
    tw_members m;
    tw_picture *p;
    const char *label;
    uint64_t h = 1;
    int rc;
    tw_members_init(&m, on_read, &a, keep, links);
    for (*pictures = 0; (rc = tw_members_next(&m, &p, &label)) == 1; ++*pictures) {
        size_t n;
        const char *folder = tw_member_folder(p->name, &n);
        MUST(p->at >= 512 && p->size >= 0);
        MUST(folder == NULL || (folder >= p->name && folder + n < p->name + strlen(p->name)));
        if (keep) {
            MUST(p->at + p->size <= (int64_t)size);
            MUST(memcmp(p->bytes, data + p->at, (size_t)p->size) == 0);
        }
        for (const char *c = p->name; *c != '\0'; c++)
            h = h * 31 + (unsigned char)*c;
        for (const char *c = label != NULL ? label : "-"; *c != '\0'; c++)
            h = h * 37 + (unsigned char)*c;
        h = h * 41 + (uint64_t)p->at + (uint64_t)p->size;
    }
    MUST(rc == 0 || tw_error()[0] != '\0');
    MUST((m.lost == 0) == (m.first_lost == NULL));
    *whole = rc == 0;
    tw_members_fini(&m);
    return h;
}

/* As walk without contents, with links followed. */
static void walk_links(const uint8_t *data, size_t size, int *pictures, bool *whole)
{
    tw_links links;
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    tw_links_init(&links, fd, (int64_t)size);
    walk(data, size, false, &links, pictures, whole);
    for (size_t i = 0; i < links.n; i++)
        MUST(links.member[i].at >= 512 && links.names[links.used - 1] == '\0');
    tw_links_fini(&links);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int with, without, linked;
    bool whole_with, whole_without, whole_linked;
    uint8_t *copy = malloc(size != 0 ? size : 1); /* of its own size, so that a sanitizer sees any step beyond it */
    MUST(copy != NULL);
    memcpy(copy, data, size);
    const uint64_t a = walk(copy, size, true, NULL, &with, &whole_with), b = walk(copy, size, false, NULL, &without, &whole_without);
    if (whole_with) /* a picture that cannot be kept ends the walk */
        MUST(whole_without && a == b && with == without);
    walk_links(copy, size, &linked, &whole_linked);
    if (whole_linked) /* a label that a link leads to may be too large */
        MUST(whole_without && linked >= without);
    free(copy);
    return 0;
}
