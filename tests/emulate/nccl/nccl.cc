/* NCCL between processes of one host, for tests: the functions that lib/cuda calls, summing in the order of the ranks through shared
 * memory. As on devices, a sum stays under way until all ranks have come to it, for ever where one does not come; a rank that has died
 * is an error of the communicator, a device that two ranks want is refused. Sums that do not belong together end the process: of other
 * sizes, or recorded at another time than those of the other ranks. EMULATE_NCCL_HANG=R:N: rank R does not come to the N-th sum
 * that is carried out (EMULATE_NCCL_DIE: it is killed there). */
#include "emulate.h"

#include <atomic>
#include <errno.h>
#include <fcntl.h>
#include <memory>
#include <nccl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace {

const int MOST_RANKS = 8;
const size_t CHUNK = 1 << 20; /* bytes of a rank that are summed at once */

struct shared {
    struct {
        std::atomic<int> process; /* 0: has not come yet */
        int device;
        unsigned call; /* the sum under way is that of its so manieth call, of so many numbers */
        size_t n;
        std::atomic<unsigned> wrote, read; /* chunks */
    } rank[MOST_RANKS];
    char data[MOST_RANKS][CHUNK];
};

const struct timespec NAP = {0, 100000};
char made[NCCL_UNIQUE_ID_BYTES]; /* the last one */
unsigned sums; /* carried out by this process */
char last_error[160];

/* For the case that the other ranks never come: a segment that stays is 8 MiB of memory. */
void unlink_made()
{
    unlink(made);
}

/* Whether this rank is to stop before the sum that comes next. */
bool named(const char *variable, int rank)
{
    const char *text = getenv(variable);
    int r = -1;
    unsigned n = 0;
    return text != nullptr && sscanf(text, "%d:%u", &r, &n) == 2 && r == rank && n == sums;
}

} /* namespace */

struct ncclComm {
    shared *with;
    int rank, ranks;
    unsigned calls, chunks; /* of sums; begun, over all sums */
    bool aborted;
};

namespace {

bool all_have(const ncclComm *c, bool read, unsigned n)
{
    for (int r = 0; r < c->ranks; r++)
        if ((read ? c->with->rank[r].read : c->with->rank[r].wrote) < n)
            return false;
    return true;
}

void check_together(const ncclComm *c)
{
    for (int r = 1; r < c->ranks; r++)
        if (c->with->rank[r].call != c->with->rank[0].call || c->with->rank[r].n != c->with->rank[0].n) {
            fprintf(stderr, "emulate: rank %d sums %zu numbers of call %u, rank 0 %zu of call %u\n", r, c->with->rank[r].n,
                    c->with->rank[r].call, c->with->rank[0].n, c->with->rank[0].call);
            abort();
        }
}

template <typename T> void add(T *x, const ncclComm *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double s = (double)((const T *)c->with->data[0])[i];
        for (int r = 1; r < c->ranks; r++)
            s += (double)((const T *)c->with->data[r])[i];
        x[i] = (T)s;
    }
}

/* One sum, which goes on chunk by chunk as often as it is called. */
template <typename T> struct sum {
    ncclComm *c;
    const T *from;
    T *to;
    size_t left;
    unsigned call;
    enum { NEXT, WRITTEN, READ } at = NEXT;
    bool begun = false;

    bool operator()()
    {
        if (!begun) {
            begun = true;
            sums++;
            if (named("EMULATE_NCCL_DIE", c->rank))
                kill(getpid(), SIGKILL);
        }
        if (c->aborted)
            return true;
        if (named("EMULATE_NCCL_HANG", c->rank))
            return false;
        for (;;) {
            const size_t n = left < CHUNK / sizeof(T) ? left : CHUNK / sizeof(T);
            if (at == NEXT && left == 0)
                return true;
            if (at == NEXT) {
                memcpy(c->with->data[c->rank], from, n * sizeof(T));
                c->chunks++;
                c->with->rank[c->rank].call = call;
                c->with->rank[c->rank].n = left;
                c->with->rank[c->rank].wrote = c->chunks;
                at = WRITTEN;
            }
            if (at == WRITTEN) {
                if (!all_have(c, false, c->chunks))
                    return false;
                check_together(c);
                emu_writes++;
                add(to, c, n);
                c->with->rank[c->rank].read = c->chunks;
                at = READ;
            }
            if (!all_have(c, true, c->chunks))
                return false;
            from += n;
            to += n;
            left -= n;
            at = NEXT;
        }
    }
};

/* A graph is played with the sum as it was when it was recorded: at its beginning. */
template <typename T> void enqueue(ncclComm *c, const void *from, void *to, size_t n, cudaStream_t stream)
{
    const sum<T> first{c, (const T *)from, (T *)to, n, c->calls++};
    const auto now = std::make_shared<sum<T>>(first); /* lives as long as the graph that has it */
    emu_enqueue_until(stream, [=] {
        if (!(*now)())
            return false;
        *now = first;
        return true;
    });
}

ncclResult_t fail(ncclResult_t r, const char *why)
{
    snprintf(last_error, sizeof last_error, "%s", why);
    return r;
}

} /* namespace */

extern "C" {

const char *ncclGetErrorString(ncclResult_t r)
{
    return r == ncclSuccess ? "no error" : r == ncclRemoteError ? "remote process exited or there was a network error" : "emulated error";
}

const char *ncclGetLastError(ncclComm_t)
{
    return last_error;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "/dev/shm/twist-nccl-XXXXXX");
    const int f = mkstemp(id->internal);
    if (f < 0 || ftruncate(f, sizeof(shared)) != 0)
        return fail(ncclSystemError, strerror(errno));
    close(f);
    if (made[0] == '\0')
        atexit(unlink_made);
    strcpy(made, id->internal);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank)
{
    if (ranks > MOST_RANKS)
        return fail(ncclInvalidArgument, "more ranks than are emulated");
    ncclComm *c = new ncclComm();
    const int f = open(id.internal, O_RDWR);
    void *p = f < 0 ? MAP_FAILED : mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    if (p == MAP_FAILED)
        return fail(ncclSystemError, strerror(errno));
    close(f);
    c->with = (shared *)p;
    c->rank = rank;
    c->ranks = ranks;
    cudaGetDevice(&c->with->rank[rank].device);
    c->with->rank[rank].process = (int)getpid();
    for (int r = 0; r < ranks; r++)
        while (c->with->rank[r].process == 0)
            nanosleep(&NAP, nullptr);
    unlink(id.internal); /* all have it */
    for (int r = 0; r < ranks; r++)
        for (int k = 0; k < r; k++)
            if (c->with->rank[r].device == c->with->rank[k].device)
                return fail(ncclInvalidUsage, "Duplicate GPU detected");
    *comm = c;
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    munmap(c->with, sizeof *c->with);
    delete c;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
    c->aborted = true; /* what is under way ends, without a result, and still looks here */
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *r)
{
    *r = ncclSuccess;
    for (int i = 0; i < c->ranks; i++)
        if (kill(c->with->rank[i].process, 0) != 0)
            *r = ncclRemoteError;
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
    if (op != ncclSum || (type != ncclFloat32 && type != ncclFloat64))
        return ncclInvalidArgument;
    if (type == ncclFloat32)
        enqueue<float>(c, from, to, n, stream);
    else
        enqueue<double>(c, from, to, n, stream);
    return ncclSuccess;
}
}
