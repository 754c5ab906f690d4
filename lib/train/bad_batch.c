#include "train/bad_batch.h"

#include "core/mem.h"
#include "stream/writer.h"

#include <stdlib.h>

/* The views of row `row`, their pixels borrowed from the batch. */
static void point_views(tw_tensor *views, const tw_batch *b, int row)
{
    for (int i = 0, v = 0; i < b->n_groups; i++) {
        const tw_view_group *g = &b->group[i];
        const size_t bytes = (size_t)g->H * (size_t)g->W * 3;
        for (int k = 0; k < g->n_views; k++, v++)
            views[v] = (tw_tensor){.dtype = TW_U8, .rank = 3, .dim = {g->H, g->W, 3},
                                   .data = b->pictures[i] + ((size_t)k * (size_t)b->B + (size_t)row) * bytes};
    }
}

static int write_samples(tw_writer *w, tw_tensor *views, const tw_batch *b)
{
    for (int row = 0; row < b->B; row++) {
        const tw_batch_row *r = &b->row[row];
        tw_sample s;
        tw_sample_init(&s);
        point_views(views, b, row);
        s.key = r->key;
        s.key_size = r->key_size;
        s.index = r->index;
        s.epoch = b->epoch;
        s.pos = r->pos;
        s.label = b->label[row];
        s.views = views;
        s.n_views = b->V;
        if (tw_writer_sample(w, &s) != 0)
            return -1;
    }
    return 0;
}

int tw_bad_batch_save(const char *path, const tw_batch *b, const tw_header *from, const char *command)
{
    tw_header h = *from;
    h.samples = b->B;
    h.epochs = 1;
    h.first_epoch = b->epoch;
    tw_tensor *views = tw_calloc((size_t)b->V, sizeof *views);
    tw_writer *w = views != NULL ? tw_writer_open(path, &h, command) : NULL;
    int rc = w != NULL ? write_samples(w, views, b) : -1;
    if (rc == 0)
        rc = tw_writer_finish(w, 0);
    else
        tw_writer_abandon(w);
    free(views);
    return rc;
}
