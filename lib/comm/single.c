#include "comm/comm.h"

#include <string.h>

static int sum_f32(tw_comm *c, float *x, size_t n)
{
    (void)c, (void)x, (void)n;
    return 0;
}

static int sum_f64(tw_comm *c, double *x, size_t n)
{
    (void)c, (void)x, (void)n;
    return 0;
}

static int nothing(tw_comm *c)
{
    (void)c;
    return 0;
}

static int gather(tw_comm *c, void *all, const void *mine, size_t bytes)
{
    (void)c;
    memcpy(all, mine, bytes);
    return 0;
}

static int broadcast(tw_comm *c, void *x, size_t bytes, int from)
{
    (void)c, (void)x, (void)bytes, (void)from;
    return 0;
}

static tw_comm *neighbours(tw_comm *c, int ranks)
{
    (void)ranks;
    return c;
}

static double no_seconds(const tw_comm *c)
{
    (void)c;
    return 0;
}

tw_comm *tw_comm_single(void)
{
    static tw_comm single = {
        .rank = 0, .ranks = 1, .sum_f32 = sum_f32, .sum_f64 = sum_f64, .sum_begin = sum_f32, .sum_wait = nothing, .gather = gather,
        .broadcast = broadcast, .neighbours = neighbours, .close = nothing, .sum_seconds = no_seconds, .wait_seconds = no_seconds,
    };
    return &single;
}
