/* Goal: sums between the devices of ranks, at once, beside other work, and played from a recording; of one rank on a GPU, through the true
 * NCCL, and of two on the emulation. There also: two ranks with one device are refused, and a rank that does not come to a sum, or has
 * died, is noticed in time and told. */
#include "cuda_test.h"

#include "comm/comm.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { LARGE = 5000001 }; /* more than what is summed at once */

/* Two ranks that were forked, which only introduce themselves; or one. */
typedef struct {
    tw_comm comm;
    int line;
} pair;

static int gather(tw_comm *c, void *all, const void *mine, size_t bytes)
{
    const int line = ((pair *)c)->line, r = c->rank;
    char *to = all;
    memcpy(to + (size_t)r * bytes, mine, bytes);
    if (c->ranks == 1)
        return 0;
    const ssize_t n = (ssize_t)bytes;
    return write(line, mine, bytes) == n && recv(line, to + (size_t)(1 - r) * bytes, bytes, MSG_WAITALL) == n ? 0 : -1;
}

/* What rank r begins with. All sums are exact. */
static double value(int r, size_t i, int round)
{
    return (double)((i * 31 + (size_t)(r * 17 + round * 7)) % 4096) / 64 - 16;
}

static double sum_of_all(const tw_comm *c, size_t i, int round)
{
    double s = 0;
    for (int r = 0; r < c->ranks; r++)
        s += value(r, i, round);
    return s;
}

typedef struct {
    const tw_backend *be;
    tw_dev *dev;
    tw_comm *comm;
    tw_peers *peers;
    tw_learn *learn;
    float *x, *y, *from; /* device memory, [LARGE] */
    double *d;
    float *host;
    double *wide;
} machine;

static void fill(const machine *m, float *to, int round)
{
    for (size_t i = 0; i < LARGE; i++)
        m->host[i] = (float)value(m->comm->rank, i, round);
    CHECK(m->be->upload(m->dev, to, m->host, LARGE * sizeof *to) == 0);
}

static size_t wrong(const machine *m, const float *x, size_t n, int round)
{
    size_t bad = 0;
    CHECK(m->be->download(m->dev, m->host, x, n * sizeof *x) == 0);
    for (size_t i = 0; i < n; i++)
        bad += (double)m->host[i] != sum_of_all(m->comm, i, round);
    return bad;
}

static void sums(const machine *m)
{
    static const size_t size[] = {1, 3, 1000, LARGE};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        fill(m, m->x, (int)k);
        CHECK(m->be->peers_sum(m->peers, m->x, size[k], TW_F32) == 0 && wrong(m, m->x, size[k], (int)k) == 0);
        for (size_t i = 0; i < LARGE; i++)
            m->wide[i] = value(m->comm->rank, i, (int)k);
        CHECK(m->be->upload(m->dev, m->d, m->wide, LARGE * sizeof *m->d) == 0);
        CHECK(m->be->peers_sum(m->peers, m->d, size[k], TW_F64) == 0);
        CHECK(m->be->download(m->dev, m->wide, m->d, LARGE * sizeof *m->d) == 0);
        size_t bad = 0;
        for (size_t i = 0; i < LARGE; i++)
            bad += m->wide[i] != (i < size[k] ? sum_of_all(m->comm, i, (int)k) : value(m->comm->rank, i, (int)k));
        CHECK(bad == 0);
    }
}

/* x begun in three parts, with the sum of y and a small one between them, x and y from `from`. */
static int both(const machine *m)
{
    const tw_backend *be = m->be;
    const size_t bytes = LARGE * sizeof *m->x, first = 1000, second = LARGE / 2;
    return be->copy(m->dev, m->x, m->from, bytes) != 0 || be->copy(m->dev, m->y, m->from, bytes) != 0 ||
           be->peers_begin(m->peers, m->x + second, LARGE - second) != 0 || be->peers_begin(m->peers, m->x + first, second - first) != 0 ||
           be->peers_sum(m->peers, m->y, LARGE, TW_F32) != 0 || be->peers_begin(m->peers, m->x, first) != 0 ||
           be->peers_sum(m->peers, m->d, 1, TW_F64) != 0 || be->peers_wait(m->peers) != 0;
}

/* The same with one part of more than a piece. */
static int whole(const machine *m)
{
    const tw_backend *be = m->be;
    const size_t bytes = LARGE * sizeof *m->x;
    return be->copy(m->dev, m->x, m->from, bytes) != 0 || be->peers_begin(m->peers, m->x, LARGE) != 0 ||
           be->peers_sum(m->peers, m->d, 1, TW_F64) != 0 || be->peers_sum(m->peers, m->d, 1, TW_F64) != 0 || be->peers_wait(m->peers) != 0;
}

static void beside(const machine *m)
{
    fill(m, m->from, 20);
    CHECK(both(m) == 0 && wrong(m, m->x, LARGE, 20) == 0 && wrong(m, m->y, LARGE, 20) == 0);
    CHECK(whole(m) == 0 && wrong(m, m->x, LARGE, 20) == 0);
}

static void recorded(const machine *m)
{
    CHECK(m->be->learn_record(m->learn, 0, true) == 0);
    CHECK(both(m) == 0);
    CHECK(m->be->learn_record(m->learn, 0, false) == 0);
    for (int round = 30; round < 33; round++) {
        tw_learn_results r;
        int32_t largest[4];
        fill(m, m->from, round);
        CHECK(m->be->learn_begin(m->learn, &(tw_learn_numbers){0}) == 0 && m->be->learn_play(m->learn, 0) == 1);
        CHECK(m->be->learn_results(m->learn, &r, largest) == 0);
        CHECK(wrong(m, m->x, LARGE, round) == 0 && wrong(m, m->y, LARGE, round) == 0);
    }
}

static bool open_machine(machine *m, const tw_backend *be, tw_comm *comm, double patience)
{
    *m = (machine){.be = be, .comm = comm};
    CHECK((m->dev = be->open(TW_F32, 1)) != NULL);
    if (m->dev == NULL)
        return false;
    m->peers = be->peers_open(m->dev, comm, 60);
    if (m->peers == NULL)
        return false;
    m->x = be->alloc(m->dev, LARGE * sizeof *m->x);
    m->y = be->alloc(m->dev, LARGE * sizeof *m->y);
    m->from = be->alloc(m->dev, LARGE * sizeof *m->from);
    m->d = be->alloc(m->dev, LARGE * sizeof *m->d);
    m->host = tw_calloc(LARGE, sizeof *m->host);
    m->wide = tw_calloc(LARGE, sizeof *m->wide);
    const tw_learn_tensor t = {.w = m->x, .g = m->y, .n = 4, .rate = 1};
    m->learn = be->learn_new(m->dev, &(tw_learn_config){.V = 2, .B = 2, .K = 4, .ranks = comm->ranks, .peers = m->peers,
                                                        .patience = patience, .tau = 1, .tensor = &t, .tensors = 1});
    CHECK(m->x != NULL && m->y != NULL && m->from != NULL && m->d != NULL && m->learn != NULL);
    return m->learn != NULL;
}

/* lost: a sum is under way that nobody else comes to, which closing the peers ends; else NCCL waits for the graphs that hold its sums. */
static void close_machine(machine *m, bool lost)
{
    if (lost)
        m->be->peers_close(m->peers);
    m->be->learn_free(m->learn);
    if (!lost)
        m->be->peers_close(m->peers);
    void *const block[] = {m->x, m->y, m->from, m->d};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        m->be->release(m->dev, block[i]);
    m->be->close(m->dev);
    free(m->host);
    free(m->wide);
}

static void all_is_well(const tw_backend *be, tw_comm *comm)
{
    machine m;
    if (!open_machine(&m, be, comm, 60)) {
        printf("%s\n", be->error());
        CHECK(!"opened");
        return;
    }
    sums(&m);
    beside(&m);
    recorded(&m);
    close_machine(&m, false);
}

static void one_device(const tw_backend *be, tw_comm *comm)
{
    machine m;
    CHECK(!open_machine(&m, be, comm, 60));
    CHECK(strstr(be->error(), "ranks 0 and 1 have the same device") != NULL);
    be->close(m.dev);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A played step whose sums the second rank comes to, does not come to, or dies in. */
static void told(const tw_backend *be, tw_comm *comm, const char *what)
{
    machine m;
    tw_learn_results r;
    int32_t largest[4];
    if (!open_machine(&m, be, comm, 1))
        return;
    fill(&m, m.from, 0);
    CHECK(be->learn_record(m.learn, 0, true) == 0 && both(&m) == 0 && be->learn_record(m.learn, 0, false) == 0);
    CHECK(be->learn_begin(m.learn, &(tw_learn_numbers){0}) == 0 && be->learn_play(m.learn, 0) == 1);
    const double since = seconds();
    CHECK(be->learn_results(m.learn, &r, largest) == -1);
    alarm(0); /* it may go on */
    CHECK(seconds() - since < 10);
    if (strstr(be->error(), what) == NULL)
        printf("rank %d: %s\n", comm->rank, be->error());
    CHECK(strstr(be->error(), "the step's forward pass: ") != NULL && strstr(be->error(), what) != NULL);
    close_machine(&m, true);
}

static void hangs(const tw_backend *be, tw_comm *comm)
{
    setenv("EMULATE_NCCL_HANG", "1:2", 1);
    told(be, comm, "not finished after 1 s: the device of another rank does not respond");
}

static void dies(const tw_backend *be, tw_comm *comm)
{
    setenv("EMULATE_NCCL_DIE", "1:2", 1);
    told(be, comm, "remote process exited");
}

/* Runs it as two ranks, neither of which has summed before: the first one is another process and starts the second. */
static void two_ranks(void (*run)(const tw_backend *, tw_comm *), const tw_backend *be, const char *devices, bool second_lives)
{
    int line[2], status = 0;
    setenv("EMULATE_DEVICES", devices, 1);
    fflush(stdout);
    const pid_t first = fork();
    if (first > 0) {
        CHECK(waitpid(first, &status, 0) == first && status == 0);
        return;
    }
    signal(SIGCHLD, second_lives ? SIG_DFL : SIG_IGN); /* ignored: it leaves nothing behind */
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, line) == 0);
    const pid_t second = fork();
    pair p = {.comm = {.rank = second == 0, .ranks = 2, .gather = gather}, .line = line[second == 0]};
    setenv("OMPI_COMM_WORLD_LOCAL_RANK", second == 0 ? "1" : "0", 1);
    close(line[second != 0]);
    run(be, &p.comm);
    CHECK(second == 0 || !second_lives || (waitpid(second, &status, 0) == second && status == 0));
    exit(test_failed != 0);
}

int main(int argc, char **argv)
{
    test_open(argc, argv);
    const tw_backend *be = tw_backend_open("cuda");
    if (be == NULL || be->devices() < 1)
        test_skip("no libtwist-cuda.so with a device, nor the emulation of one");
    void (*unguard)(void) = (void (*)(void))emulated("emu_unguard");
    if (unguard != NULL) {
        if (getenv("EMULATE_GUARDED") == NULL) /* it takes its time */
            unguard();
        two_ranks(all_is_well, be, "2", true);
        two_ranks(one_device, be, "1", true);
        two_ranks(hangs, be, "2", true);
        two_ranks(dies, be, "2", false);
    }
    all_is_well(be, &(pair){.comm = {.ranks = 1, .gather = gather}}.comm);
    if (tw_report != NULL)
        fprintf(tw_report, "sums between ranks, NCCL, of %d\tf32\t0\t0\n", 1);
    return test_done();
}
