/* Opening the communicator: whether this process is one of several ranks is taken from the environment set by mpirun and srun. */
#include "comm/comm.h"

#include "core/error.h"
#include "core/library.h"
#include "core/mem.h"
#include "core/pool.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Number of ranks according to the launcher's environment; 0: no launcher. SLURM_STEP_NUM_TASKS counts only within a step of srun. */
static int promised(void)
{
    static const char *const size[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        const char *text = getenv(size[i]);
        if (text != NULL && (i < 2 || getenv("SLURM_STEPID") != NULL))
            return atoi(text);
    }
    return 0;
}

tw_comm *tw_comm_open(void)
{
    const int ranks = promised();
    if (ranks <= 1)
        return tw_comm_single();
    void *library = tw_library_open("mpi");
    if (library == NULL)
        return NULL;
    tw_comm_opener *open;
    *(void **)&open = dlsym(library, "tw_comm_mpi");
    if (open == NULL) {
        tw_fail("libtwist-mpi.so: of another version");
        return NULL;
    }
    tw_comm *c = open(tw_fail);
    if (c == NULL || c->ranks == ranks)
        return c;
    tw_fail("started as one of %d ranks, but MPI sees %d: under srun, give --mpi=pmix or --mpi=pmi2 (srun --mpi=list)", ranks, c->ranks);
    return NULL;
}

/* What the ranks exchange in order to share a host's processors. */
typedef struct {
    char host[64];
    int usable; /* tw_processors() */
    cpu_set_t mask;
} place;

int tw_comm_processors(tw_comm *c)
{
    place mine = {.usable = tw_processors()};
    if (c->ranks == 1)
        return mine.usable;
    place *all = tw_calloc((size_t)c->ranks, sizeof *all);
    gethostname(mine.host, sizeof mine.host - 1);
    sched_getaffinity(0, sizeof mine.mask, &mine.mask);
    if (all == NULL || c->gather(c, all, &mine, sizeof mine) != 0) {
        free(all);
        return -1;
    }
    double share = 0;
    int here = 0;
    for (int r = 0; r < c->ranks; r++)
        here += strcmp(all[r].host, mine.host) == 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int users = 0;
        for (int r = 0; r < c->ranks; r++)
            users += strcmp(all[r].host, mine.host) == 0 && CPU_ISSET(cpu, &all[r].mask);
        if (CPU_ISSET(cpu, &mine.mask))
            share += 1.0 / users;
    }
    free(all);
    const int of_quota = mine.usable < CPU_COUNT(&mine.mask) ? mine.usable / here : mine.usable;
    const int n = share + 1e-6 < of_quota ? (int)(share + 1e-6) : of_quota;
    return n > 0 ? n : 1;
}
