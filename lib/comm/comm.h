/* Collectives between the ranks of a run. One rank: every operation is the identity. All ranks call the same operations in the same
 * order, with the same sizes. Sums are taken in the order of the ranks with f64 in between, so that all ranks get the same bits, run
 * after run, whatever the MPI library and wherever the ranks are. A rank that fails ends the run: see tw_comm_open. */
#ifndef TW_COMM_COMM_H
#define TW_COMM_COMM_H

#include <stddef.h>

typedef struct tw_comm tw_comm;
struct tw_comm {
    int rank, ranks;
    /* Each 0, or -1 and tw_error(). Sums are in place. */
    int (*sum_f32)(tw_comm *c, float *x, size_t n);
    int (*sum_f64)(tw_comm *c, double *x, size_t n);
    /* Begins to sum x, which is left alone until sum_wait: it returns when every sum begun is done. Sums begun are taken one after the
     * other by a thread of their own, beside whatever the caller does meanwhile, other collectives of the same communicator included. */
    int (*sum_begin)(tw_comm *c, float *x, size_t n);
    int (*sum_wait)(tw_comm *c);
    /* all: bytes from every rank, in the order of ranks. */
    int (*gather)(tw_comm *c, void *all, const void *mine, size_t bytes);
    int (*broadcast)(tw_comm *c, void *x, size_t bytes, int from);
    /* The group of neighbouring ranks that this one is in, groups being of `ranks` ranks from rank 0 on; a communicator of its own,
     * which lives as long as c. NULL and tw_error(). */
    tw_comm *(*neighbours)(tw_comm *c, int ranks);
    /* Waits for all ranks and ends the communication: c and its groups are gone then. */
    int (*close)(tw_comm *c);
    /* Seconds since the beginning that sums begun have taken, and that sum_wait has waited for them. */
    double (*sum_seconds)(const tw_comm *c);
    double (*wait_seconds)(const tw_comm *c);
    void *state;
};

/* The communicator of a single process. Borrowed, static. */
tw_comm *tw_comm_single(void);

/* The communicator of this process: that of a single one, unless it was started as one of several ranks by mpirun or srun; then
 * libtwist-mpi.so is opened. From then on a process that exits before close() takes all ranks down with its exit status. Borrowed,
 * static. NULL and tw_error(): no MPI library, or one that sees other ranks than the environment promises. */
tw_comm *tw_comm_open(void);

/* Threads for this rank: its share of the processors it may use, which ranks on the same host may have in common. At least 1.
 * -1 and tw_error(). */
int tw_comm_processors(tw_comm *c);

/* What libtwist-mpi.so exports as tw_comm_mpi: opens MPI. fail: tw_fail of the program, whose messages these become. */
typedef tw_comm *tw_comm_opener(int (*fail)(const char *fmt, ...));

#endif
