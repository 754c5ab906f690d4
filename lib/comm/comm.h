/* Collectives between the ranks of a run. One rank: every operation is the identity. */
#ifndef TW_COMM_COMM_H
#define TW_COMM_COMM_H

#include <stddef.h>

typedef struct tw_comm tw_comm;
struct tw_comm {
    int rank, ranks;
    /* Sums x over all ranks, in place, in a fixed order. 0, or -1 and tw_error(). */
    int (*sum_f32)(tw_comm *c, float *x, size_t n);
    int (*sum_f64)(tw_comm *c, double *x, size_t n);
    void *state;
};

/* The communicator of a single process. Borrowed, static. */
tw_comm *tw_comm_single(void);

#endif
