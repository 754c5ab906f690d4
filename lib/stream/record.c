#include "stream/record.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

const char *const tw_kind_names[] = {"files", "images", "views", "features", NULL};

void tw_sample_init(tw_sample *s)
{
    *s = (tw_sample){.label = -1, .sub = -1};
}

void tw_sample_fini(tw_sample *s)
{
    if (s == NULL)
        return;
    free(s->buffer);
    free(s->views);
    tw_sample_init(s);
}

int tw_bytes_append(tw_bytes *b, const void *data, size_t n)
{
    if (n == 0)
        return 0;
    if (tw_grow(&b->data, &b->cap, b->size + n, 1) != 0)
        return -1;
    memcpy(b->data + b->size, data, n);
    b->size += n;
    return 0;
}
