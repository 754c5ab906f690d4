/* Goal: 2 and 4 ranks take the steps of one rank with the batches of all: the weights after three steps are off by less than 0.1 % of
 * the update, with two views and with crops, LARS and AdamW, in bunches; every rank ends with the same bits, and a second run too. */
#include "test.h"

#include "core/mem.h"
#include "formula.h"
#include "train/step.h"

#include <unistd.h>

enum { BATCH = 8, STEPS = 3 }; /* of all ranks */

typedef struct {
    const char *name;
    tw_optim_kind optim;
    int n_groups;
    tw_view_group group[2];
    double lr, weight_decay, clip, drop;
    int bunch; /* samples */
    bool self_label;
} three;

static const three cases[] = {
    {"lars-two", TW_LARS, 1, {{2, 32, 32}}, 0.2, 1.5e-6, 0, 0, BATCH, false},
    {"lars-crops", TW_LARS, 2, {{2, 32, 32}, {3, 24, 24}}, 0.2, 1.5e-6, 0, 0, 4, false},
    {"admw-two", TW_ADAMW, 1, {{2, 32, 32}}, 1e-5, 0.05, 3, 0, 4, false},
    {"admw-crops", TW_ADAMW, 2, {{2, 32, 32}, {3, 24, 24}}, 1e-5, 0.05, 3, 0, BATCH, false},
};
enum { CASES = sizeof cases / sizeof *cases };

/* This rank's part of the pictures of step t: samples [rank * B, rank * B + B) of every view. Noise on tiles of 8 x 8. */
static void draw(uint8_t **pictures, const three *c, int t, int rank, int B)
{
    for (int i = 0; i < c->n_groups; i++) {
        const tw_view_group *g = &c->group[i];
        const uint64_t number = (uint64_t)(2000 + 10 * t + i);
        size_t to = 0;
        for (int v = 0; v < g->n_views; v++)
            for (int b = 0; b < B; b++)
                for (int y = 0; y < g->H; y++)
                    for (int x = 0; x < g->W; x++)
                        for (int ch = 0; ch < 3; ch++) {
                            const int n = v * BATCH + rank * B + b, tile = ((n * (g->H / 8) + y / 8) * (g->W / 8) + x / 8) * 3 + ch;
                            const size_t k = (size_t)(((n * g->H + y) * g->W + x) * 3 + ch);
                            pictures[i][to++] = (uint8_t)floor(256 * (0.7 * formula_uniform((uint64_t)tile, number + 500) +
                                                                      0.3 * formula_uniform(k, number)));
                        }
    }
}

static void shift_norms(tw_net *net)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i), *next = i + 1 < tw_net_params(net) ? tw_net_param(net, i + 1) : NULL;
        const bool of_norm = next != NULL && strstr(p->name, ".bias") != NULL && strstr(next->name, "running_mean") != NULL;
        for (size_t k = 0; of_norm && k < p->n; k++) /* away from the ReLUs' kinks, where rounding decides */
            ((float *)p->value)[k] = 3;
    }
    tw_net_changed(net);
}

/* The weights after three steps, one after the other in the order of the state dict, appended to f; start: those before too. */
static void write_weights(FILE *f, tw_net *net)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        if (p->trained)
            fwrite(p->value, sizeof(float), p->n, f);
    }
}

static void take_steps(FILE *f, const three *c, tw_comm *comm)
{
    const int B = BATCH / comm->ranks;
    uint8_t *pictures[2] = {NULL, NULL};
    const tw_net_config config = {.backbone = "resnet18", .head = true, .hid_dim = 64, .dim = 12, .act = "relu", .drop = c->drop,
                                  .precision = TW_F32, .threads = 1, .seed = 3, .comm = comm,
                                  .bunch = comm->neighbours(comm, c->bunch > B ? c->bunch / B : 1)};
    tw_net *net = tw_net_new("cpu", &config);
    tw_optim *optim = net != NULL ? tw_optim_new(net, c->optim, 1) : NULL;
    const tw_step_options so = {{0, 1, 1}, c->clip};
    tw_step *step = optim != NULL ? tw_step_new(net, optim, c->group, c->n_groups, B, &so) : NULL;
    CHECK(step != NULL);
    if (step == NULL)
        return;
    shift_norms(net);
    for (int i = 0; i < c->n_groups; i++)
        pictures[i] = tw_calloc((size_t)(c->group[i].n_views * B * c->group[i].H * c->group[i].W * 3), 1);
    if (f != NULL)
        write_weights(f, net);
    for (int t = 0; t < STEPS; t++) {
        const tw_step_plan p = {c->lr, c->weight_decay, c->self_label, {0.5, 0}, t};
        tw_step_result r;
        draw(pictures, c, t, comm->rank, B);
        CHECK(tw_step_run(step, &r, pictures, &p) == 1);
    }
    if (f != NULL)
        write_weights(f, net);
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(net);
    for (int i = 0; i < c->n_groups; i++)
        free(pictures[i]);
}

/* One rank of a run: its weights go to PREFIX.CASE.RANK. */
static int as_rank(const char *prefix)
{
    tw_comm *comm = tw_comm_open();
    CHECK(comm != NULL);
    if (comm == NULL)
        return 1;
    for (int k = 0; k < CASES; k++) {
        char path[300];
        snprintf(path, sizeof path, "%s.%s.%d", prefix, cases[k].name, comm->rank);
        FILE *f = fopen(path, "w");
        CHECK(f != NULL);
        take_steps(f, &cases[k], comm);
        CHECK(f != NULL && fclose(f) == 0);
    }
    CHECK(comm->close(comm) == 0);
    return test_failed != 0;
}

static float *read_all(size_t *n, const char *prefix, const char *name, int rank)
{
    char path[300];
    snprintf(path, sizeof path, "%s.%s.%d", prefix, name, rank);
    FILE *f = fopen(path, "r");
    float *x = NULL;
    *n = 0;
    if (f == NULL)
        return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f) / sizeof *x;
    rewind(f);
    x = tw_calloc(*n, sizeof *x);
    *n = fread(x, sizeof *x, *n, f);
    fclose(f);
    unlink(path);
    return x;
}

/* Of the changes: how far those of x are from those of y, as a share of y's. */
static double off(const float *x, const float *y, size_t n)
{
    double distance = 0, size = 0;
    for (size_t i = n / 2; i < n; i++) {
        const double dy = (double)y[i] - (double)y[i - n / 2], dx = (double)x[i] - (double)x[i - n / 2];
        distance += (dx - dy) * (dx - dy);
        size += dy * dy;
    }
    return sqrt(distance / size);
}

static void compare(const char *prefix, int ranks, const char *name, const float *want, size_t n_want)
{
    size_t n;
    float *x = read_all(&n, prefix, name, 0);
    CHECK(n > 0 && n == n_want);
    if (n == 0 || n != n_want)
        return;
    const double d = off(x, want, n);
    printf("%s: %d ranks are off by %.2g of the update\n", name, ranks, d);
    CHECK(d < 1e-3);
    for (int r = 1; r < ranks; r++) {
        size_t m;
        float *y = read_all(&m, prefix, name, r);
        CHECK(m == n && memcmp(x, y, n * sizeof *x) == 0);
        free(y);
    }
    free(x);
}

static void start(const char *self, int ranks, const char *prefix)
{
    char command[4600];
    snprintf(command, sizeof command, "mpirun --oversubscribe --allow-run-as-root --bind-to none -n %d %s %s 2>&1", ranks, self, prefix);
    CHECK(system(command) == 0);
}

int main(int argc, char **argv)
{
    char prefix[64];
    float *want[CASES];
    size_t n[CASES];
    if (argc > 1)
        return as_rank(argv[1]);
    if (system("command -v mpirun > /dev/null") != 0)
        test_skip("no mpirun");
    snprintf(prefix, sizeof prefix, "/tmp/twist-ranks-%d", (int)getpid());
    as_rank(prefix);
    for (int k = 0; k < CASES; k++)
        want[k] = read_all(&n[k], prefix, cases[k].name, 0);
    for (int ranks = 2; ranks <= 4; ranks += 2) {
        start(argv[0], ranks, prefix);
        for (int k = 0; k < CASES; k++)
            compare(prefix, ranks, cases[k].name, want[k], n[k]);
    }
    for (int k = 0; k < CASES; k++)
        free(want[k]);
    return test_done();
}
