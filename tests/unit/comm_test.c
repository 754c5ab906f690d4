/* Goal: collectives between 1 and, under mpirun, 3 and 4 ranks: sums have the bits of adding by rank, also of many numbers, of sums
 * begun while others are under way, and within a group of neighbours. */
#include "test.h"

#include "comm/comm.h"
#include "core/mem.h"

#include <unistd.h>

static float value(int rank, size_t i)
{
    return (float)((double)((i * 7919 + (size_t)rank * 104729) % 1000003) / 1000003 - 0.5);
}

static float *values(int rank, size_t n)
{
    float *x = tw_calloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = value(rank, i);
    return x;
}

/* Numbers that are not the sum over ranks [from, to), bit by bit. */
static size_t wrong(const float *x, size_t n, int from, int to)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        double s = (double)value(from, i);
        for (int r = from + 1; r < to; r++)
            s += (double)value(r, i);
        bad += x[i] != (float)s;
    }
    return bad;
}

static void sums(tw_comm *c)
{
    static const size_t size[] = {1, 2, 5, 1000, 4097, 100003, 2500000};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        float *x = values(c->rank, size[k]);
        CHECK(c->sum_f32(c, x, size[k]) == 0 && wrong(x, size[k], 0, c->ranks) == 0);
        double *d = tw_calloc(size[k], sizeof *d);
        for (size_t i = 0; i < size[k]; i++)
            d[i] = (double)value(c->rank, i);
        CHECK(c->sum_f64(c, d, size[k]) == 0);
        double last = 0;
        for (int r = 0; r < c->ranks; r++)
            last += (double)value(r, size[k] - 1);
        CHECK(d[size[k] - 1] == last);
        free(x), free(d);
    }
}

/* More sums than the queue has places, with other collectives between. */
static void begun(tw_comm *c)
{
    enum { N = 100, EACH = 3001 };
    float *x[N];
    for (int k = 0; k < N; k++) {
        x[k] = values(c->rank, EACH);
        CHECK(c->sum_begin(c, x[k], EACH) == 0);
        double one = 1;
        CHECK(c->sum_f64(c, &one, 1) == 0 && one == c->ranks);
    }
    CHECK(c->sum_wait(c) == 0);
    size_t bad = 0;
    for (int k = 0; k < N; k++) {
        bad += wrong(x[k], EACH, 0, c->ranks);
        free(x[k]);
    }
    CHECK(bad == 0);
    CHECK(c->ranks == 1 || c->sum_seconds(c) > 0);
    CHECK(c->wait_seconds(c) <= c->sum_seconds(c) + 1);
}

static void groups(tw_comm *c)
{
    tw_comm *g = c->neighbours(c, 2);
    const int first = c->rank / 2 * 2, last = first + 2 < c->ranks ? first + 2 : c->ranks;
    float *x = values(c->rank, 5000);
    CHECK(g != NULL && g->ranks == last - first && g->rank == c->rank - first);
    CHECK(g->sum_f32(g, x, 5000) == 0 && wrong(x, 5000, first, last) == 0);
    free(x);
}

static void others(tw_comm *c)
{
    char mine[24], all[4][24], text[3000];
    snprintf(mine, sizeof mine, "this is rank %d", c->rank);
    CHECK(c->gather(c, all, mine, sizeof mine) == 0);
    for (int r = 0; r < c->ranks; r++) {
        snprintf(mine, sizeof mine, "this is rank %d", r);
        CHECK(strcmp(all[r], mine) == 0);
    }
    memset(text, 'a' + c->rank, sizeof text);
    CHECK(c->broadcast(c, text, sizeof text, c->ranks - 1) == 0 && text[0] == 'a' + c->ranks - 1 && text[2999] == text[0]);
    CHECK(tw_comm_processors(c) >= 1);
}

static int as_rank(void)
{
    tw_comm *c = tw_comm_open();
    CHECK(c != NULL);
    if (c == NULL)
        return 1;
    sums(c);
    begun(c);
    groups(c);
    others(c);
    CHECK(c->close(c) == 0);
    return test_failed != 0;
}

int main(int argc, char **argv)
{
    char command[4200];
    if (argc > 1)
        return as_rank();
    as_rank();
    if (system("command -v mpirun > /dev/null") != 0) {
        printf("skipped: more ranks than one: no mpirun\n");
        return test_done();
    }
    for (int ranks = 3; ranks <= 4; ranks++) {
        snprintf(command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 timeout --foreground -k 5 600 mpirun --oversubscribe --allow-run-as-root --bind-to none -n %d %s rank 2>&1", ranks, argv[0]);
        CHECK(system(command) == 0);
    }
    return test_done();
}
