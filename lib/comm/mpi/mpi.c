/* libtwist-mpi.so: the communicator on MPI. MPI only moves bytes (MPI_Ialltoallv, MPI_Iallgather and the like); the additions are done here.
 * Asynchronous sums (sum_begin) have their own thread and MPI communicator: MPI makes progress only inside its calls. */
#include "comm/comm.h"

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE = 64,
    CHUNK = 1 << 20, /* an asynchronous sum is done in pieces of so many floats, which bounds the memory */
    SMALL = 1 << 14  /* up to so many numbers, those of all ranks together, are sent whole to every rank */
};

typedef struct {
    MPI_Comm mpi;
    void *room; /* receive buffer and counts */
    size_t room_bytes;
    bool patient; /* sleeps while a request is in progress, with little spinning */
} channel;

typedef struct mpi_comm mpi_comm;
struct mpi_comm {
    tw_comm comm;
    mpi_comm *next;      /* the communicator created before this one */
    channel front, back; /* for the caller's operations; for asynchronous sums */
    bool threads;        /* the thread of the back channel has been started */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, less;
    struct {
        float *x;
        size_t n;
    } queue[QUEUE];
    unsigned begun, done;
    bool stop, failed;
    double summing, waiting;
};

static int (*fail)(const char *fmt, ...);
static mpi_comm *newest;
static int world_open; /* MPI has been initialised and not yet finalised */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int failed(int rc, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(rc, text, &length);
    return fail("MPI: %s: %s", what, text);
}

static int room(channel *c, size_t bytes)
{
    if (bytes <= c->room_bytes)
        return 0;
    free(c->room);
    c->room = malloc(bytes);
    c->room_bytes = c->room != NULL ? bytes : 0;
    return c->room != NULL ? 0 : fail("MPI: out of memory");
}

/* Waits until the request is done. Spinning has the lowest latency but is limited: other processes need the processors, and on the back
 * channel the caller itself does. */
static int finish(const channel *c, MPI_Request *request, const char *what)
{
    static const struct timespec nap = {0, 30000};
    const int spins = c->patient ? 4 : 500;
    int done = 0, rc;
    for (int i = 0; (rc = MPI_Test(request, &done, MPI_STATUS_IGNORE)) == MPI_SUCCESS && !done; i++)
        if (i > spins)
            nanosleep(&nap, NULL);
        else
            sched_yield();
    return rc == MPI_SUCCESS ? 0 : failed(rc, what);
}

static int collect(channel *c, void *all, const void *mine, size_t bytes)
{
    MPI_Request request;
    const int rc = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, c->mpi, &request);
    return rc == MPI_SUCCESS ? finish(c, &request, "all gather") : failed(rc, "all gather");
}

/* x[i] = sum over r of from[r * stride + i], in rank order, accumulated in f64. */
static void add_f32(float *x, const float *from, size_t n, size_t stride, int ranks)
{
    for (size_t i = 0; i < n; i++) {
        double s = (double)from[i];
        for (int r = 1; r < ranks; r++)
            s += (double)from[(size_t)r * stride + i];
        x[i] = (float)s;
    }
}

static void add_f64(double *x, const double *from, size_t n, size_t stride, int ranks)
{
    for (size_t i = 0; i < n; i++) {
        double s = from[i];
        for (int r = 1; r < ranks; r++)
            s += from[(size_t)r * stride + i];
        x[i] = s;
    }
}

static void add(void *x, const void *from, size_t n, size_t stride, int ranks, size_t size)
{
    if (size == sizeof(float))
        add_f32(x, from, n, stride, ranks);
    else
        add_f64(x, from, n, stride, ranks);
}

/* Short vectors: every rank gathers all and adds. */
static int sum_small(channel *c, void *x, size_t n, size_t size, int ranks)
{
    if (room(c, n * size * (size_t)ranks) != 0 || collect(c, c->room, x, n * size) != 0)
        return -1;
    add(x, c->room, n, n, ranks, size);
    return 0;
}

/* The first number of part r of n, which has `part` numbers unless n ends before. */
static size_t start_of(int r, size_t part, size_t n)
{
    return (size_t)r * part < n ? (size_t)r * part : n;
}

/* Long vectors: each rank sums one part of x (reduce-scatter), then the parts are gathered on all ranks. */
static int sum_large(channel *c, void *x, size_t n, size_t size, int rank, int ranks)
{
    const size_t part = (n + (size_t)ranks - 1) / (size_t)ranks, first = start_of(rank, part, n), mine = start_of(rank + 1, part, n) - first;
    MPI_Request request;
    if (room(c, 4 * (size_t)ranks * sizeof(int) + mine * size * (size_t)ranks) != 0)
        return -1;
    /* bytes and displacements per rank, as MPI wants them; behind them what is received */
    int *const sent = c->room, *const to = sent + ranks, *const received = to + ranks, *const from = received + ranks;
    void *const parts = from + ranks;
    for (int r = 0; r < ranks; r++) {
        to[r] = (int)(start_of(r, part, n) * size);
        sent[r] = (int)(start_of(r + 1, part, n) * size) - to[r];
        received[r] = (int)(mine * size);
        from[r] = (int)((size_t)r * mine * size);
    }
    int rc = MPI_Ialltoallv(x, sent, to, MPI_BYTE, parts, received, from, MPI_BYTE, c->mpi, &request);
    if (rc != MPI_SUCCESS || finish(c, &request, "all to all") != 0)
        return rc != MPI_SUCCESS ? failed(rc, "all to all") : -1;
    add((char *)x + first * size, parts, mine, mine, ranks, size);
    rc = MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, x, sent, to, MPI_BYTE, c->mpi, &request);
    return rc == MPI_SUCCESS ? finish(c, &request, "all gather") : failed(rc, "all gather");
}

static int sum(channel *c, void *x, size_t n, size_t size, const tw_comm *of)
{
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t these = n - first < CHUNK ? n - first : CHUNK;
        char *at = (char *)x + first * size;
        if ((these * (size_t)of->ranks <= SMALL ? sum_small(c, at, these, size, of->ranks)
                                                : sum_large(c, at, these, size, of->rank, of->ranks)) != 0)
            return -1;
    }
    return 0;
}

static int sum_f32(tw_comm *c, float *x, size_t n)
{
    return sum(&((mpi_comm *)c)->front, x, n, sizeof *x, c);
}

static int sum_f64(tw_comm *c, double *x, size_t n)
{
    return sum(&((mpi_comm *)c)->front, x, n, sizeof *x, c);
}

static int gather(tw_comm *c, void *all, const void *mine, size_t bytes)
{
    return collect(&((mpi_comm *)c)->front, all, mine, bytes);
}

static int broadcast(tw_comm *c, void *x, size_t bytes, int from)
{
    for (size_t first = 0; first < bytes; first += 1 << 30) {
        const size_t these = bytes - first < 1 << 30 ? bytes - first : 1 << 30;
        const int rc = MPI_Bcast((char *)x + first, (int)these, MPI_BYTE, from, ((mpi_comm *)c)->front.mpi);
        if (rc != MPI_SUCCESS)
            return failed(rc, "broadcast");
    }
    return 0;
}

/* The thread for asynchronous sums. */
static void *work(void *comm_)
{
    mpi_comm *c = comm_;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->done == c->begun && !c->stop)
            pthread_cond_wait(&c->more, &c->lock);
        if (c->done == c->begun)
            break;
        float *x = c->queue[c->done % QUEUE].x;
        const size_t n = c->queue[c->done % QUEUE].n;
        pthread_mutex_unlock(&c->lock);
        const double since = now();
        const bool ok = !c->failed && sum(&c->back, x, n, sizeof *x, &c->comm) == 0;
        const double seconds = now() - since;
        pthread_mutex_lock(&c->lock);
        c->summing += seconds;
        c->failed = !ok;
        c->done++;
        pthread_cond_signal(&c->less);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static int sum_begin(tw_comm *comm, float *x, size_t n)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (!c->threads) {
        const double since = now();
        const int rc = sum(&c->front, x, n, sizeof *x, comm);
        c->summing += now() - since;
        c->waiting = c->summing;
        return rc;
    }
    pthread_mutex_lock(&c->lock);
    while (c->begun - c->done == QUEUE)
        pthread_cond_wait(&c->less, &c->lock);
    c->queue[c->begun % QUEUE].x = x;
    c->queue[c->begun++ % QUEUE].n = n;
    pthread_cond_signal(&c->more);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static int sum_wait(tw_comm *comm)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (!c->threads)
        return 0;
    const double since = now();
    pthread_mutex_lock(&c->lock);
    while (c->done != c->begun)
        pthread_cond_wait(&c->less, &c->lock);
    c->waiting += now() - since;
    const bool bad = c->failed;
    pthread_mutex_unlock(&c->lock);
    return bad ? fail("MPI: a sum over all ranks failed") : 0;
}

static double sum_seconds(const tw_comm *c)
{
    return ((const mpi_comm *)c)->summing;
}

static double wait_seconds(const tw_comm *c)
{
    return ((const mpi_comm *)c)->waiting;
}

static tw_comm *make(MPI_Comm from);

static tw_comm *neighbours(tw_comm *comm, int ranks)
{
    MPI_Comm group;
    const int rc = MPI_Comm_split(((mpi_comm *)comm)->front.mpi, comm->rank / ranks, comm->rank, &group);
    if (rc == MPI_SUCCESS)
        return make(group);
    failed(rc, "split");
    return NULL;
}

static int close_world(tw_comm *comm)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (c->threads) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_cond_signal(&c->more);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
        c->threads = false;
    }
    world_open = 0;
    const int rc = MPI_Finalize();
    while (newest != NULL) {
        mpi_comm *last = newest;
        newest = last->next;
        free(last->front.room);
        free(last->back.room);
        free(last);
    }
    return rc == MPI_SUCCESS ? 0 : failed(rc, "end");
}

/* At exit before close(): aborts all ranks, which would otherwise wait for this one. */
static void leave(int status, void *unused)
{
    (void)unused;
    if (world_open)
        MPI_Abort(MPI_COMM_WORLD, status);
}

static tw_comm *make(MPI_Comm mpi)
{
    mpi_comm *c = calloc(1, sizeof *c);
    if (c == NULL) {
        fail("out of memory");
        return NULL;
    }
    c->comm = (tw_comm){.sum_f32 = sum_f32, .sum_f64 = sum_f64, .sum_begin = sum_begin, .sum_wait = sum_wait, .gather = gather,
                        .broadcast = broadcast, .neighbours = neighbours, .close = close_world, .sum_seconds = sum_seconds,
                        .wait_seconds = wait_seconds};
    c->next = newest;
    newest = c;
    c->front.mpi = mpi;
    MPI_Comm_set_errhandler(mpi, MPI_ERRORS_RETURN);
    MPI_Comm_rank(mpi, &c->comm.rank);
    MPI_Comm_size(mpi, &c->comm.ranks);
    return &c->comm;
}

tw_comm *tw_comm_mpi(int (*fail_)(const char *fmt, ...));
tw_comm *tw_comm_mpi(int (*fail_)(const char *fmt, ...))
{
    int level = MPI_THREAD_SINGLE;
    fail = fail_;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level) != MPI_SUCCESS) {
        fail("MPI does not start");
        return NULL;
    }
    world_open = 1;
    on_exit(leave, NULL);
    mpi_comm *c = (mpi_comm *)make(MPI_COMM_WORLD);
    if (c == NULL || level < MPI_THREAD_MULTIPLE) /* then sum_begin does the sum itself */
        return c != NULL ? &c->comm : NULL;
    c->back.patient = true;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->more, NULL);
    pthread_cond_init(&c->less, NULL);
    if (MPI_Comm_dup(MPI_COMM_WORLD, &c->back.mpi) != MPI_SUCCESS || pthread_create(&c->thread, NULL, work, c) != 0) {
        fail("MPI: cannot start the thread that sums");
        return NULL;
    }
    c->threads = true;
    return &c->comm;
}
