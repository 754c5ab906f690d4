/* NCCL is opened only when ranks meet: one GPU does without. An all-reduce that some rank never joins blocks the device for ever, so every wait for
 * the device has a time limit. */
#include "cuda/peers.h"

#include "comm/comm.h"
#include "core/error.h"
#include "core/mem.h"
#include "cuda/device.h"
#include "cuda/ops.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LAST_SECONDS = 20 /* that a process may take to exit while a sum hangs */, PIECE = 1 << 22 /* floats of a sum begun, queued at a time */ };

struct tw_peers {
    tw_dev *dev;
    ncclComm_t comm;
    tw_peers *next; /* in the device's list */
};

static struct {
    void *library;
    const char *(*error_string)(ncclResult_t);
    const char *(*last_error)(ncclComm_t);
    ncclResult_t (*unique_id)(ncclUniqueId *);
    ncclResult_t (*init_rank)(ncclComm_t *, int, ncclUniqueId, int);
    ncclResult_t (*destroy)(ncclComm_t);
    ncclResult_t (*abort)(ncclComm_t);
    ncclResult_t (*async_error)(ncclComm_t, ncclResult_t *);
    ncclResult_t (*all_reduce)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
} nccl;

static int open_library(void)
{
    const struct {
        const char *name;
        void *entry;
    } entries[] = {
        {"ncclGetErrorString", &nccl.error_string}, {"ncclGetLastError", &nccl.last_error},       {"ncclGetUniqueId", &nccl.unique_id},
        {"ncclCommInitRank", &nccl.init_rank},      {"ncclCommDestroy", &nccl.destroy},           {"ncclCommAbort", &nccl.abort},
        {"ncclAllReduce", &nccl.all_reduce},        {"ncclCommGetAsyncError", &nccl.async_error},
    };
    if (nccl.library != NULL)
        return 0;
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return tw_fail("several ranks on GPUs need NCCL: %s", dlerror());
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (symbol == NULL) {
            dlclose(library);
            return tw_fail("libnccl.so.2: has no %s: want 2.13 or newer", entries[i].name);
        }
        memcpy(entries[i].entry, &symbol, sizeof symbol);
    }
    nccl.library = library;
    return 0;
}

#define TW_NCCL(comm, call) check((comm), (call), #call + sizeof "nccl." - 1)

static int check(ncclComm_t comm, ncclResult_t status, const char *call)
{
    if (status == ncclSuccess)
        return 0;
    const char *why = nccl.last_error(comm);
    return tw_fail("NCCL: %.*s: %s%s%s", (int)strcspn(call, "("), call, nccl.error_string(status), why[0] != '\0' ? ": " : "", why);
}

/* What ranks tell each other before they join NCCL. */
typedef struct {
    cudaUUID_t device;
    ncclUniqueId place; /* rank 0's counts */
} introduction;

static int introduce(introduction *mine, const tw_dev *d, const tw_comm *c)
{
    struct cudaDeviceProp p;
    if (TW_CUDA(cudaGetDeviceProperties(&p, d->number)) != 0)
        return -1;
    mine->device = p.uuid;
    return c->rank == 0 ? TW_NCCL(NULL, nccl.unique_id(&mine->place)) : 0;
}

/* Refuses two ranks on one device, with a clearer message than NCCL's. */
static int check_devices(const introduction *all, int ranks)
{
    for (int r = 1; r < ranks; r++)
        for (int k = 0; k < r; k++)
            if (memcmp(&all[r].device, &all[k].device, sizeof all->device) == 0)
                return tw_fail("ranks %d and %d have the same device: each rank needs its own (%d are visible here)", k, r,
                               tw_cuda_devices());
    return 0;
}

static int meet(tw_peers *p, tw_comm *c)
{
    introduction mine = {0}, *all = tw_calloc((size_t)c->ranks, sizeof *all);
    int rc = all != NULL ? introduce(&mine, p->dev, c) : -1;
    if (rc == 0 && c->gather(c, all, &mine, sizeof mine) != 0)
        rc = tw_fail("the ranks cannot reach each other");
    if (rc == 0)
        rc = check_devices(all, c->ranks);
    if (rc == 0)
        rc = TW_NCCL(NULL, nccl.init_rank(&p->comm, c->ranks, all[0].place, c->rank));
    free(all);
    return rc;
}

/* Makes the stream for overlapped sums, of the highest priority, as other ranks wait for them. */
static int open_beside(tw_dev *d)
{
    if (d->beside != NULL)
        return 0;
    return TW_CUDA(cudaStreamCreateWithPriority(&d->beside, cudaStreamNonBlocking, -1)) == 0 &&
                   TW_CUDA(cudaEventCreateWithFlags(&d->forked, cudaEventDisableTiming)) == 0 &&
                   TW_CUDA(cudaEventCreateWithFlags(&d->joined, cudaEventDisableTiming)) == 0
               ? 0
               : -1;
}

tw_peers *tw_cuda_peers_open(tw_dev *d, tw_comm *c, double patience)
{
    tw_peers *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->dev = d;
    if (open_library() != 0 || open_beside(d) != 0 || meet(p, c) != 0) {
        free(p);
        return NULL;
    }
    p->next = d->peers;
    d->peers = p;
    d->patience = patience;
    return p;
}

void tw_cuda_peers_close(tw_peers *p)
{
    if (p == NULL)
        return;
    tw_peers **at = &p->dev->peers;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (!p->dev->lost)
        cudaStreamSynchronize(p->dev->stream);
    (p->dev->lost ? nccl.abort : nccl.destroy)(p->comm);
    free(p);
}

static int sum(tw_peers *p, void *x, size_t n, tw_dtype type, cudaStream_t stream)
{
    return TW_NCCL(p->comm, nccl.all_reduce(x, x, n, type == TW_F64 ? ncclFloat64 : ncclFloat32, ncclSum, p->comm, stream));
}

/* Queues the last n floats of what was begun on the stream `beside`. */
static int put_beside(tw_dev *d, size_t n)
{
    tw_begun *b = &d->begun;
    if (n == 0)
        return 0;
    if (TW_CUDA(cudaEventRecord(d->forked, d->stream)) != 0 || TW_CUDA(cudaStreamWaitEvent(d->beside, d->forked, 0)) != 0)
        return -1;
    b->n -= n;
    b->beside = true;
    return sum(b->by, b->x + b->n, n, TW_F32, d->beside);
}

static int join(tw_dev *d)
{
    if (!d->begun.beside)
        return 0;
    d->begun.beside = false;
    return TW_CUDA(cudaEventRecord(d->joined, d->beside)) != 0 ? -1 : TW_CUDA(cudaStreamWaitEvent(d->stream, d->joined, 0));
}

/* Two concurrent NCCL sums may deadlock, if ranks start them in different orders: a device runs them one after the other, in the order of the
 * calls. So that this sum does not wait for long, what was begun is queued a piece at a time between two other sums, beside their work. */
int tw_cuda_peers_sum(tw_peers *p, void *x, size_t n, tw_dtype type)
{
    tw_dev *d = p->dev;
    if (join(d) != 0 || sum(p, x, n, type, d->stream) != 0)
        return -1;
    d->begun.met = true;
    return put_beside(d, d->begun.n < PIECE ? d->begun.n : PIECE);
}

/* If there has been no other sum since the last begin, there is nothing to keep waiting, and all that was begun is queued at once. */
int tw_cuda_peers_begin(tw_peers *p, float *x, size_t n)
{
    tw_begun *b = &p->dev->begun;
    if ((!b->met || b->by != p || x + n != b->x) && put_beside(p->dev, b->n) != 0)
        return -1;
    b->by = p;
    b->x = x;
    b->n += n;
    b->met = false;
    return 0;
}

int tw_cuda_peers_wait(tw_peers *p)
{
    return put_beside(p->dev, p->dev->begun.n) != 0 ? -1 : join(p->dev);
}

/* Checks whether NCCL itself reports that a rank or the network is gone. */
static int check_peers(const tw_dev *d)
{
    for (const tw_peers *p = d->peers; p != NULL; p = p->next) {
        ncclResult_t status = ncclSuccess;
        if (nccl.async_error(p->comm, &status) == ncclSuccess && status != ncclInProgress && check(p->comm, status, "sums") != 0)
            return -1;
    }
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int lose(tw_dev *d)
{
    d->lost = true;
    alarm(LAST_SECONDS); /* libraries may wait at exit for work that never finishes */
    return -1;
}

int tw_peers_watch(tw_dev *d, double seconds)
{
    static const struct timespec nap = {0, 20000};
    const double check_every = 0.2, most = 1; /* counts at most a second per check, in case this process was stopped meanwhile */
    double waited = 0, checked = 0, last = now();
    cudaError_t status;
    if (d->peers == NULL)
        return TW_CUDA(cudaStreamSynchronize(d->stream));
    while ((status = cudaStreamQuery(d->stream)) == cudaErrorNotReady) {
        nanosleep(&nap, NULL);
        const double time = now(), step = time - last;
        last = time;
        waited += step < most ? step : most;
        if (waited - checked < check_every)
            continue;
        checked = waited;
        if (check_peers(d) != 0)
            return lose(d);
        if (waited > seconds) {
            tw_fail("not finished after %.0f s: the device of another rank does not respond", waited);
            return lose(d);
        }
    }
    cudaGetLastError(); /* clears "not ready", so that the next launch does not report it */
    return tw_cuda_check(status, "cudaStreamQuery");
}
