#include "checkpoint/checkpoint.h"

#include "checkpoint/contents.h"
#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

struct tw_checkpoint {
    char *path;
    const char *format;
    tw_safetensors *safetensors; /* either this, or the map and the contents read from it */
    tw_map map;
    tw_contents contents;
    const tw_named_tensor *tensor;
    const tw_named_tensor **by_name; /* sorted */
    int n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tw_named_tensor *const *)a)->name, (*(const tw_named_tensor *const *)b)->name);
}

static int index_names(tw_checkpoint *c)
{
    c->by_name = tw_calloc((size_t)c->n, sizeof *c->by_name);
    if (c->by_name == NULL)
        return -1;
    for (int i = 0; i < c->n; i++)
        c->by_name[i] = &c->tensor[i];
    qsort(c->by_name, (size_t)c->n, sizeof *c->by_name, by_name);
    for (int i = 1; i < c->n; i++)
        if (strcmp(c->by_name[i - 1]->name, c->by_name[i]->name) == 0)
            return tw_fail("%s: tensor %.200s appears twice", c->path, c->by_name[i]->name);
    return 0;
}

static int read_zip(tw_checkpoint *c)
{
    static const char code[] = "/code/__torch__";
    tw_zip z;
    if (tw_zip_read(&z, c->map.data, c->map.size) != 0)
        return memmem(c->map.data, c->map.size, code, strlen(code)) == NULL
                   ? -1
                   : tw_fail("a TorchScript archive, which holds code: save the weights with torch.save(model.state_dict(), FILE)");
    const bool npz = z.n > 0 && z.entry[0].name_size > 4 && memcmp(z.entry[0].name + z.entry[0].name_size - 4, ".npy", 4) == 0;
    c->format = npz ? "npz" : "PyTorch";
    const int rc = npz ? tw_npz_read(&c->contents, &z) : tw_pth_read(&c->contents, &z);
    tw_zip_fini(&z);
    return rc;
}

/* Reads a file of another format than safetensors, recognised by its first bytes. 0, or -1 and tw_error(). */
static int read_other(tw_checkpoint *c)
{
    if (tw_pth_is_legacy(&c->map)) {
        c->format = "PyTorch before 1.6";
        return tw_pth_read_legacy(&c->contents, &c->map);
    }
    if (tw_pkl_is(&c->map)) {
        c->format = "pickle of arrays";
        return tw_pkl_read(&c->contents, &c->map);
    }
    return read_zip(c);
}

static bool is_other(const tw_map *m)
{
    return (m->size >= 4 && memcmp(m->data, "PK\3\4", 4) == 0) || tw_pth_is_legacy(m) || tw_pkl_is(m);
}

static int read_file(tw_checkpoint *c)
{
    if (tw_map_open(&c->map, c->path) != 0)
        return -1;
    if (is_other(&c->map)) {
        if (read_other(c) != 0)
            return tw_fail("%s: %s", c->path, tw_error());
        c->tensor = c->contents.tensor;
        c->n = (int)c->contents.n;
        return 0;
    }
    c->format = "safetensors";
    c->safetensors = tw_safetensors_open(c->path);
    if (c->safetensors == NULL)
        return -1;
    c->n = tw_safetensors_count(c->safetensors);
    c->tensor = c->n > 0 ? tw_safetensors_at(c->safetensors, 0) : NULL;
    return 0;
}

tw_checkpoint *tw_checkpoint_open(const char *path)
{
    tw_checkpoint *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->path = strdup(path);
    if (c->path == NULL)
        tw_fail("out of memory");
    else if (read_file(c) == 0 && index_names(c) == 0)
        return c;
    tw_checkpoint_close(c);
    return NULL;
}

const char *tw_checkpoint_path(const tw_checkpoint *c)
{
    return c->path;
}

const char *tw_checkpoint_format(const tw_checkpoint *c)
{
    return c->format;
}

int tw_checkpoint_count(const tw_checkpoint *c)
{
    return c->n;
}

const tw_named_tensor *tw_checkpoint_at(const tw_checkpoint *c, int i)
{
    return &c->tensor[i];
}

const tw_tensor *tw_checkpoint_find(const tw_checkpoint *c, const char *name)
{
    const tw_named_tensor wanted = {.name = name}, *key = &wanted;
    const tw_named_tensor **t = bsearch(&key, c->by_name, (size_t)c->n, sizeof *c->by_name, by_name);
    return t != NULL ? &(*t)->tensor : NULL;
}

const char *tw_checkpoint_meta(const tw_checkpoint *c, const char *key)
{
    if (c->safetensors != NULL)
        return tw_safetensors_meta(c->safetensors, key);
    for (size_t i = 0; i < c->contents.n_meta; i++)
        if (strcmp(c->contents.meta[i][0], key) == 0)
            return c->contents.meta[i][1];
    return NULL;
}

bool tw_checkpoint_meta_at(const tw_checkpoint *c, int i, const char **key, const char **value)
{
    if (c->safetensors != NULL)
        return tw_safetensors_meta_at(c->safetensors, i, key, value);
    if ((size_t)i >= c->contents.n_meta)
        return false;
    *key = c->contents.meta[i][0];
    *value = c->contents.meta[i][1];
    return true;
}

void tw_checkpoint_close(tw_checkpoint *c)
{
    if (c == NULL)
        return;
    tw_safetensors_close(c->safetensors);
    tw_contents_fini(&c->contents);
    tw_map_close(&c->map);
    free(c->by_name);
    free(c->path);
    free(c);
}
