#include "stream/record.h"

#include <stdlib.h>

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
