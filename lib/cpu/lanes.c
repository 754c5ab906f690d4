#include "cpu/lanes.h"

#include "core/mem.h"

#include <omp.h>
#include <stdlib.h>

typedef struct {
    dnnl_stream_t stream;
    tw_prim prim[TW_LANE_KINDS];
} lane;

struct tw_lanes {
    tw_dev *dev;
    int n;
    lane *lane;
    size_t scratch; /* bytes per lane */
};

static int open_lane(tw_lanes *l, lane *a, int (*make)(tw_prim *p, int kind, void *context), void *context)
{
    if (TW_DNNL(dnnl_stream_create(&a->stream, l->dev->engine, dnnl_stream_default_flags)) != 0)
        return -1;
    for (int kind = 0; kind < TW_LANE_KINDS; kind++) {
        if (make(&a->prim[kind], kind, context) != 0)
            return -1;
        const size_t bytes = (a->prim[kind].scratch + 63) / 64 * 64;
        l->scratch = bytes > l->scratch ? bytes : l->scratch;
    }
    return 0;
}

tw_lanes *tw_lanes_new(tw_dev *d, bool alone, int (*make)(tw_prim *p, int kind, void *context), void *context)
{
    const int threads = omp_get_max_threads();
    tw_lanes *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_lanes){.dev = d, .n = alone ? d->threads : 1};
    l->lane = tw_calloc((size_t)l->n, sizeof *l->lane);
    int rc = l->lane != NULL ? 0 : -1;
    if (alone)
        omp_set_num_threads(1);
    for (int i = 0; rc == 0 && i < l->n; i++)
        rc = open_lane(l, &l->lane[i], make, context);
    omp_set_num_threads(threads);
    if (rc == 0 && tw_lanes_scratch(l) != NULL)
        return l;
    tw_lanes_free(l);
    return NULL;
}

void tw_lanes_free(tw_lanes *l)
{
    if (l == NULL)
        return;
    for (int i = 0; l->lane != NULL && i < l->n; i++) {
        for (int kind = 0; kind < TW_LANE_KINDS; kind++)
            tw_prim_fini(&l->lane[i].prim[kind]);
        if (l->lane[i].stream != NULL)
            dnnl_stream_destroy(l->lane[i].stream);
    }
    free(l->lane);
    free(l);
}

const tw_prim *tw_lanes_prim(const tw_lanes *l, int kind)
{
    return &l->lane->prim[kind];
}

char *tw_lanes_scratch(const tw_lanes *l)
{
    return tw_dev_scratch(l->dev, TW_SCRATCH_PRIMITIVE, (size_t)l->n * l->scratch);
}

dnnl_status_t tw_lanes_run(tw_lanes *l, int kind, void *const *data, char *scratch)
{
    const int i = omp_get_thread_num();
    lane *a = &l->lane[i];
    return tw_prim_execute(&a->prim[kind], a->stream, data, scratch + (size_t)i * l->scratch);
}
