/* The CUDA runtime's functions that lib/cuda calls, without a device. Device memory is an arena that is out of bounds except
 * while work of a stream runs; work runs when somebody waits for it, not before; new memory is full of NaN (the first megabyte of a block). */
#include "emulate.h"

#include <deque>
#include <map>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <vector>

/* ---- memory */

static const size_t ARENA = (size_t)4 << 30, NAN_MOST = 1 << 20;
static char *arena;
static std::map<size_t, size_t> taken; /* offset -> bytes */
static std::map<void *, size_t> pinned;
static int open_depth;

static bool guarded = getenv("EMULATE_UNGUARDED") == nullptr;

static void guard(bool open)
{
    if (arena != nullptr && guarded && mprotect(arena, ARENA, open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
        abort();
}

struct opened { /* device memory may be touched while one lives */
    opened()
    {
        if (open_depth++ == 0)
            guard(true);
    }
    ~opened()
    {
        if (--open_depth == 0)
            guard(false);
    }
};

static bool on_device(const void *p)
{
    return arena != nullptr && (const char *)p >= arena && (const char *)p < arena + ARENA;
}

/* ---- streams */

typedef std::function<bool()> work; /* whether it is done; called again until it is */

struct CUgraph_st {
    std::vector<work> node;
};

struct CUgraphExec_st {
    std::vector<work> node;
};

struct CUstream_st {
    std::deque<work> queue;
    size_t issued = 0, done = 0;
    CUgraph_st *capture = nullptr;
    bool origin = false;
    size_t captured = 0, joined = 0; /* nodes put by a stream that was drawn into a capture; of these, those waited for */
};

struct CUevent_st {
    CUstream_st *stream = nullptr;
    size_t at = 0, captured = 0;
    CUgraph_st *capture = nullptr;
    double time = 0;
};

static std::vector<CUstream_st *> streams;
static double now; /* milliseconds that libraries have taken, by a made-up clock */
static cudaError_t last_error = cudaSuccess;
static unsigned long launches;
static bool eager; /* streams but the first do their work at once, if they can */
unsigned long emu_writes;

double &emu_clock()
{
    return now;
}

static cudaError_t fail(cudaError_t e)
{
    last_error = e;
    return e;
}

static bool capturing()
{
    for (CUstream_st *s : streams)
        if (s->capture != nullptr)
            return true;
    return false;
}

/* Does what can be done now; whether that was all up to there. */
static bool advance(CUstream_st *s, size_t upto)
{
    opened o;
    while (s->done < upto && !s->queue.empty()) {
        if (!s->queue.front()())
            return false;
        s->queue.pop_front();
        s->done++;
    }
    return true;
}

static void drain(CUstream_st *s, size_t upto)
{
    static const struct timespec nap = {0, 50000};
    while (!advance(s, upto))
        nanosleep(&nap, nullptr);
}

void emu_enqueue_until(cudaStream_t s, work w)
{
    launches++;
    if (s == nullptr) {
        fprintf(stderr, "emulate: work on the default stream\n");
        abort();
    }
    if (s->capture != nullptr) {
        s->capture->node.push_back(std::move(w));
        s->captured++;
        return;
    }
    s->queue.push_back(std::move(w));
    s->issued++;
    if (eager && s != streams.front())
        advance(s, s->issued);
}

void emu_enqueue(cudaStream_t s, std::function<void()> w)
{
    emu_enqueue_until(s, [=] {
        w();
        return true;
    });
}

extern "C" {

void emu_unguard() /* as EMULATE_UNGUARDED does: for tests of much memory, of which each change of rights takes its time */
{
    guard(true);
    guarded = false;
}

void emu_eager(int on) /* for tests: what else lags runs ahead of the first stream */
{
    eager = on != 0;
}

unsigned long emu_launches() /* for tests: work put on streams so far, a graph counting as one */
{
    return launches;
}

static int device; /* the calling thread's is everybody's */

cudaError_t cudaGetDeviceCount(int *n)
{
    const char *text = getenv("EMULATE_DEVICES"); /* default: one */
    *n = text == nullptr ? 1 : atoi(text);
    return *n > 0 ? cudaSuccess : fail(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int d)
{
    device = d;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *d)
{
    *d = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int d)
{
    memset(p, 0, sizeof *p);
    p->uuid.bytes[0] = (char)(d + 1);
    strcpy(p->name, "emulated");
    p->major = 9;
    p->multiProcessorCount = 132;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 99999;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaSuccess ? "no error" : e == cudaErrorMemoryAllocation ? "out of memory" : "emulated error";
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (capturing())
        return fail(cudaErrorStreamCaptureUnsupported);
    if (arena == nullptr) {
        void *all = mmap(nullptr, ARENA, guarded ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED)
            abort();
        arena = (char *)all;
    }
    const size_t room = (bytes + 511) / 512 * 512 + 512; /* a gap between blocks */
    size_t at = 0;
    for (const auto &t : taken) {
        if (t.first - at >= room)
            break;
        at = t.first + t.second;
    }
    if (at + room > ARENA)
        return fail(cudaErrorMemoryAllocation);
    taken[at] = room;
    opened o;
    memset(arena + at, 0xff, room < NAN_MOST ? room : NAN_MOST); /* guarding what was touched takes time */
    *p = arena + at;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    if (capturing())
        return fail(cudaErrorStreamCaptureUnsupported);
    for (CUstream_st *s : streams)
        drain(s, s->issued);
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (p == nullptr)
        return cudaSuccess;
    if (cudaDeviceSynchronize() != cudaSuccess || !on_device(p) || taken.erase((size_t)((char *)p - arena)) == 0)
        return fail(cudaErrorInvalidValue);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *total = *left = ARENA;
    for (const auto &t : taken)
        *left -= t.second;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    if (capturing())
        return fail(cudaErrorStreamCaptureUnsupported);
    *p = malloc(bytes > 0 ? bytes : 1);
    pinned[*p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    pinned.erase(p);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned)
{
    pinned[p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *p)
{
    cudaDeviceSynchronize();
    return pinned.erase(p) > 0 ? cudaSuccess : fail(cudaErrorHostMemoryNotRegistered);
}

static bool is_pinned(const void *p)
{
    for (const auto &t : pinned)
        if ((const char *)p >= (char *)t.first && (const char *)p < (char *)t.first + t.second)
            return true;
    return false;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (s->capture != nullptr)
        return fail(cudaErrorStreamCaptureUnsupported);
    drain(s, s->issued);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
    if (s->capture != nullptr)
        return fail(cudaErrorStreamCaptureUnsupported);
    return advance(s, s->issued) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind, cudaStream_t s)
{
    const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    if (n > 0 && (on_device(to) != to_device || on_device(from) != from_device))
        return fail(cudaErrorInvalidValue);
    if ((to_device && from_device) || is_pinned(to_device ? from : to)) {
        emu_enqueue(s, [=] { emu_writes++, memmove(to, from, n); });
        return cudaSuccess;
    }
    if (s->capture != nullptr) /* pageable memory in a graph: what is there at replay is not what the caller means */
        return fail(cudaErrorStreamCaptureUnsupported);
    if (to_device) {
        std::vector<char> copy((const char *)from, (const char *)from + n);
        emu_enqueue(s, [=] { emu_writes++, memcpy(to, copy.data(), n); });
        return cudaSuccess;
    }
    emu_enqueue(s, [=] { emu_writes++, memcpy(to, from, n); });
    return cudaStreamSynchronize(s);
}

cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s)
{
    if (n > 0 && !on_device(p))
        return fail(cudaErrorInvalidValue);
    emu_enqueue(s, [=] { emu_writes++, memset(p, v, n); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned, int)
{
    *s = new CUstream_st;
    streams.push_back(*s);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    return cudaStreamCreateWithPriority(s, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    drain(s, s->issued);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == s)
            streams.erase(streams.begin() + (long)i);
    delete s;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = new CUevent_st;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, 0);
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (e->stream != nullptr && e->capture == nullptr)
        drain(e->stream, e->at);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    cudaEventSynchronize(e);
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->stream = s;
    e->capture = s->capture;
    e->captured = s->captured;
    if (s->capture != nullptr)
        return cudaSuccess;
    emu_enqueue(s, [e] { e->time = now; });
    e->at = s->issued;
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    return e->stream == nullptr || e->stream->done >= e->at ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    *ms = (float)(b->time - a->time);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    CUstream_st *other = e->stream;
    const size_t at = e->at;
    if (other == nullptr)
        return cudaSuccess;
    if (e->capture == nullptr) {
        if (s->capture != nullptr)
            return fail(cudaErrorStreamCaptureIsolation);
        emu_enqueue_until(s, [=] { return advance(other, at); });
        return cudaSuccess;
    }
    if (s->capture != nullptr && s->capture != e->capture)
        return fail(cudaErrorStreamCaptureMerge);
    if (s->capture == nullptr) {
        s->captured = s->joined = 0;
        s->origin = false;
    }
    s->capture = e->capture;
    if (other != s && e->captured > other->joined)
        other->joined = e->captured;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode)
{
    s->capture = new CUgraph_st;
    s->origin = true;
    s->captured = s->joined = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    bool ok = s->capture != nullptr && s->origin && getenv("EMULATE_NO_CAPTURE") == nullptr;
    CUgraph_st *graph = s->capture;
    for (CUstream_st *other : streams)
        if (graph != nullptr && other->capture == graph) {
            ok = ok && (other == s || other->joined == other->captured);
            other->capture = nullptr;
        }
    if (!ok)
        delete graph;
    *g = ok ? graph : nullptr;
    return ok ? cudaSuccess : fail(cudaErrorStreamCaptureUnjoined);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    *x = new CUgraphExec_st{g->node};
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete g;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    delete x;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    launches++;
    for (const work &w : x->node)
        s->queue.push_back(w);
    s->issued += x->node.size();
    return cudaSuccess;
}
}
