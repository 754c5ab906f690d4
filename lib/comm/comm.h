/* Collective operations between the ranks of a run; with one rank each is the identity. All ranks must call the same operations in the
 * same order with the same sizes. Sums are accumulated in f64 in rank order, so that all ranks get the same bits in every run, for any
 * MPI library and any placement of the ranks. A rank that fails ends the run: see tw_comm_open. */
#ifndef TW_COMM_COMM_H
#define TW_COMM_COMM_H

#include <stddef.h>

typedef struct tw_comm tw_comm;
struct tw_comm {
    int rank, ranks;
    /* Each returns 0, or -1 and tw_error(), unless noted. x [n] is replaced by its sum over all ranks. */
    int (*sum_f32)(tw_comm *c, float *x, size_t n);
    int (*sum_f64)(tw_comm *c, double *x, size_t n);
    /* Asynchronous sum_f32: sum_begin queues it, sum_wait returns when all queued sums are done; x must not be touched in between. A separate
     * thread does them one by one; the caller may meanwhile use other collectives of the same communicator. If MPI does not support threads,
     * sum_begin does the sum itself. */
    int (*sum_begin)(tw_comm *c, float *x, size_t n);
    int (*sum_wait)(tw_comm *c);
    /* Gathers `bytes` bytes of every rank on all ranks: all [ranks * bytes], in rank order. */
    int (*gather)(tw_comm *c, void *all, const void *mine, size_t bytes);
    /* Copies `bytes` bytes at x from rank `from` to all ranks. */
    int (*broadcast)(tw_comm *c, void *x, size_t bytes, int from);
    /* A communicator of this rank's group, groups being `ranks` consecutive ranks each, from rank 0 on. It lives as long as c. NULL and
     * tw_error(). */
    tw_comm *(*neighbours)(tw_comm *c, int ranks);
    /* Waits for all ranks and ends the communication; c and its groups are invalid afterwards. */
    int (*close)(tw_comm *c);
    /* Total seconds that asynchronous sums have taken, and that sum_wait has waited for them. */
    double (*sum_seconds)(const tw_comm *c);
    double (*wait_seconds)(const tw_comm *c);
    void *state;
};

/* The communicator of a single process. Borrowed, static. */
tw_comm *tw_comm_single(void);

/* The communicator of this process: tw_comm_single(), unless the environment says that mpirun or srun started it as one of several ranks;
 * then that of libtwist-mpi.so, and a process that exits before close() aborts all ranks with its exit status. Borrowed, static. NULL and
 * tw_error(): no MPI library, or MPI reports another number of ranks than the environment. */
tw_comm *tw_comm_open(void);

/* Number of threads for this rank: its share of the processors it may use, each divided among the ranks of the host that may use it too. At
 * least 1. A collective operation. -1 and tw_error(). */
int tw_comm_processors(tw_comm *c);

/* Type of tw_comm_mpi, exported by libtwist-mpi.so: initialises MPI. fail: the program's tw_fail, which records the errors. */
typedef tw_comm *tw_comm_opener(int (*fail)(const char *fmt, ...));

#endif
