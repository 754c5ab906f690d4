#include "checkpoint/checkpoint.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdlib.h>

struct tw_checkpoint {
    tw_safetensors *safetensors;
};

tw_checkpoint *tw_checkpoint_open(const char *path)
{
    tw_checkpoint *c = tw_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->safetensors = tw_safetensors_open(path);
    if (c->safetensors != NULL)
        return c;
    tw_checkpoint_close(c);
    return NULL;
}

const char *tw_checkpoint_path(const tw_checkpoint *c)
{
    return tw_safetensors_path(c->safetensors);
}

const char *tw_checkpoint_format(const tw_checkpoint *c)
{
    (void)c;
    return "safetensors";
}

int tw_checkpoint_count(const tw_checkpoint *c)
{
    return tw_safetensors_count(c->safetensors);
}

const tw_named_tensor *tw_checkpoint_at(const tw_checkpoint *c, int i)
{
    return tw_safetensors_at(c->safetensors, i);
}

const tw_tensor *tw_checkpoint_find(const tw_checkpoint *c, const char *name)
{
    return tw_safetensors_find(c->safetensors, name);
}

const char *tw_checkpoint_meta(const tw_checkpoint *c, const char *key)
{
    return tw_safetensors_meta(c->safetensors, key);
}

bool tw_checkpoint_meta_at(const tw_checkpoint *c, int i, const char **key, const char **value)
{
    return tw_safetensors_meta_at(c->safetensors, i, key, value);
}

void tw_checkpoint_close(tw_checkpoint *c)
{
    if (c == NULL)
        return;
    tw_safetensors_close(c->safetensors);
    free(c);
}
