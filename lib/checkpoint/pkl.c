/* detectron2's files: a pickle of numpy arrays, with detectron2's names for a ResNet's tensors. */
#include "checkpoint/contents.h"
#include "checkpoint/state_dict.h"
#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256 };

/* Recognises a pickle of protocol 2 to 5. A safetensors header's length may begin with the same bytes, but its upper bytes are zero. */
bool tw_pkl_is(const tw_map *file)
{
    static const unsigned char zeros[5];
    return file->size >= 8 && file->data[0] == 0x80 && file->data[1] >= 2 && file->data[1] <= 5 && memcmp(file->data + 3, zeros, 5) != 0;
}

/* There are no storages: numpy arrays contain their bytes. */
static int none(void *context, tw_stored *s, const char *key, size_t n)
{
    (void)context, (void)s;
    return tw_fail("storage %.*s is not in the file", (int)(n < 100 ? n : 100), key);
}

/* "conv2.norm.bias" -> "bn2.bias", "shortcut.weight" -> "downsample.0.weight"; other names are copied. */
static void layer_name(char *to, size_t size, const char *name)
{
    if (strncmp(name, "conv", 4) == 0 && name[4] != '\0' && strncmp(name + 5, ".norm.", 6) == 0)
        snprintf(to, size, "bn%c.%s", name[4], name + 11);
    else if (strncmp(name, "shortcut.norm.", 14) == 0)
        snprintf(to, size, "downsample.1.%s", name + 14);
    else if (strncmp(name, "shortcut.", 9) == 0)
        snprintf(to, size, "downsample.0.%s", name + 9);
    else
        snprintf(to, size, "%s", name);
}

/* Converts detectron2's name, which begins with "model.", to torchvision's; false: it is not one. */
static bool rename_tensor(char to[NAME], const char *name)
{
    if (strncmp(name, "model.", 6) != 0 || strlen(name) > NAME - 16)
        return false;
    name += 6;
    if (strncmp(name, "stem.", 5) == 0) {
        layer_name(to, NAME, name + 5);
        return true;
    }
    const char *block = strchr(name, '.'), *rest = block != NULL ? strchr(block + 1, '.') : NULL;
    if (strncmp(name, "res", 3) != 0 || name[3] < '2' || name[3] > '5' || block != name + 4 || rest == NULL)
        return false;
    const int n = snprintf(to, NAME, "layer%c%.*s.", name[3] - 1, (int)(rest - block), block);
    layer_name(to + n, (size_t)(NAME - n), rest + 1);
    return true;
}

static int rename_all(tw_contents *c)
{
    char name[NAME];
    for (size_t i = 0; i < c->n; i++) {
        if (!rename_tensor(name, c->tensor[i].name))
            continue;
        char *copy = strdup(name);
        if (copy == NULL)
            return tw_fail("out of memory");
        free((char *)c->tensor[i].name);
        c->tensor[i].name = copy;
    }
    return 0;
}

int tw_pkl_read(tw_contents *c, const tw_map *file)
{
    size_t used;
    tw_pickle *p = tw_pickle_read(file->data, file->size, &used);
    int rc = p != NULL ? 0 : -1;
    if (rc == 0 && (tw_pickle_value(p)->kind != TW_PY_DICT || used != file->size))
        rc = tw_fail("pickle: not a dict of arrays");
    if (rc == 0)
        rc = tw_state_dict_read(c, tw_pickle_value(p), none, NULL, tw_state_dict_copies(file->size));
    tw_pickle_free(p);
    return rc == 0 ? rename_all(c) : -1;
}
