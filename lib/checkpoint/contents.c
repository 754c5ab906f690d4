#include "checkpoint/contents.h"

#include "core/error.h"
#include "core/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int tw_map_open(tw_map *m, const char *path)
{
    struct stat st;
    *m = (tw_map){.data = NULL};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tw_fail_errno("%s", path);
    int rc = fstat(fd, &st) != 0 ? tw_fail_errno("%s", path) : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = tw_fail("%s: not a regular file", path);
    if (rc == 0 && st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            rc = tw_fail_errno("%s", path);
        else
            *m = (tw_map){map, (size_t)st.st_size};
    }
    close(fd);
    return rc;
}

void tw_map_close(tw_map *m)
{
    if (m->data != NULL)
        munmap((void *)m->data, m->size);
    *m = (tw_map){.data = NULL};
}

int tw_contents_tensor(tw_contents *c, const char *name, const tw_tensor *t)
{
    if (tw_grow(&c->tensor, &c->cap, c->n + 1, sizeof *c->tensor) != 0)
        return -1;
    char *copy = strdup(name);
    if (copy == NULL)
        return tw_fail("out of memory");
    c->tensor[c->n++] = (tw_named_tensor){copy, *t};
    return 0;
}

int tw_contents_meta(tw_contents *c, const char *key, const char *value)
{
    if (tw_grow(&c->meta, &c->meta_cap, c->n_meta + 1, sizeof *c->meta) != 0)
        return -1;
    char **pair = c->meta[c->n_meta];
    pair[0] = strdup(key);
    pair[1] = strdup(value);
    c->n_meta++;
    return pair[0] != NULL && pair[1] != NULL ? 0 : tw_fail("out of memory");
}

void *tw_contents_block(tw_contents *c, size_t bytes)
{
    if (tw_grow(&c->block, &c->block_cap, c->n_blocks + 1, sizeof *c->block) != 0)
        return NULL;
    void *block = tw_alloc64(bytes);
    if (block != NULL)
        c->block[c->n_blocks++] = block;
    return block;
}

void tw_contents_fini(tw_contents *c)
{
    for (size_t i = 0; i < c->n; i++)
        free((char *)c->tensor[i].name);
    for (size_t i = 0; i < c->n_meta; i++) {
        free(c->meta[i][0]);
        free(c->meta[i][1]);
    }
    for (size_t i = 0; i < c->n_blocks; i++)
        free(c->block[i]);
    free(c->tensor);
    free(c->meta);
    free(c->block);
    *c = (tw_contents){.n = 0};
}
