#include "comm/comm.h"

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

tw_comm *tw_comm_single(void)
{
    static tw_comm single = {0, 1, sum_f32, sum_f64, 0};
    return &single;
}
