#include "cuda/cache.h"

#include "core/crc32c.h"
#include "core/file.h"
#include "core/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *key, *text;
} entry;

enum { FORMAT = 2 }; /* of keys and texts, operands' numbers included: older plans would run with other operands */

struct tw_dnn_cache {
    entry *entry;
    size_t n, cap;
    char path[512]; /* "": no file */
};

static void name_file(tw_dnn_cache *c, const char *device)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *under = "";
    char folder[256], name[96];
    if (base == NULL || base[0] != '/') {
        base = home;
        under = "/.cache";
    }
    if (base == NULL || base[0] != '/' || snprintf(folder, sizeof folder, "%s%s/twist", base, under) >= (int)sizeof folder)
        return;
    size_t n = 0;
    for (; device[n] != '\0' && n < sizeof name - 1; n++)
        name[n] = isalnum((unsigned char)device[n]) ? device[n] : '-';
    name[n] = '\0';
    if (tw_make_folder(folder) == 0)
        snprintf(c->path, sizeof c->path, "%s/plans-%s-%d", folder, name, FORMAT);
}

static void keep(tw_dnn_cache *c, const char *key, const char *text)
{
    if (tw_grow(&c->entry, &c->cap, c->n + 1, sizeof *c->entry) != 0)
        return;
    entry e = {strdup(key), strdup(text)};
    if (e.key != NULL && e.text != NULL) {
        c->entry[c->n++] = e;
        return;
    }
    free(e.key);
    free(e.text);
}

/* Adds a line "key \t crc \t text"; lines of another form or with a wrong checksum are ignored. Changes the tabs in `line`. */
static void read_line(tw_dnn_cache *c, char *line)
{
    char *crc = strchr(line, '\t'), *text = crc == NULL ? NULL : strchr(crc + 1, '\t'), *end;
    if (text == NULL)
        return;
    *crc++ = *text++ = '\0';
    const unsigned long long want = strtoull(crc, &end, 16);
    if (*end == '\0' && want == tw_crc32c(0, text, strlen(text)))
        keep(c, line, text);
}

static void read_file(tw_dnn_cache *c)
{
    size_t size = 0;
    char *all = c->path[0] != '\0' && access(c->path, R_OK) == 0 ? tw_file_read(c->path, &size, 0) : NULL, *next = all;
    while (all != NULL && next < all + size) {
        char *end = memchr(next, '\n', (size_t)(all + size - next));
        if (end == NULL)
            break; /* incomplete: still being written */
        *end = '\0';
        read_line(c, next);
        next = end + 1;
    }
    free(all);
}

tw_dnn_cache *tw_dnn_cache_open(const char *device)
{
    tw_dnn_cache *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    name_file(c, device);
    read_file(c);
    return c;
}

void tw_dnn_cache_close(tw_dnn_cache *c)
{
    for (size_t i = 0; c != NULL && i < c->n; i++) {
        free(c->entry[i].key);
        free(c->entry[i].text);
    }
    if (c != NULL)
        free(c->entry);
    free(c);
}

const char *tw_dnn_cache_find(const tw_dnn_cache *c, const char *key)
{
    for (size_t i = c->n; i-- > 0;)
        if (strcmp(c->entry[i].key, key) == 0)
            return c->entry[i].text;
    return NULL;
}

/* A single write(), so that lines of several processes do not mix. */
static void append(const tw_dnn_cache *c, const char *key, const char *text)
{
    const size_t size = strlen(key) + strlen(text) + 16;
    char *line = tw_calloc(size, 1);
    const int fd = line == NULL || c->path[0] == '\0' ? -1 : open(c->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0) {
        const int n = snprintf(line, size, "%s\t%08x\t%s\n", key, (unsigned)tw_crc32c(0, text, strlen(text)), text);
        (void)!tw_write_all(fd, line, (size_t)n); /* if the disk is full, plans are only timed again */
        close(fd);
    }
    free(line);
}

void tw_dnn_cache_add(tw_dnn_cache *c, const char *key, const char *text)
{
    if (strpbrk(text, "\t\n") != NULL)
        return;
    keep(c, key, text);
    append(c, key, text);
}
