/* Goal: 2 and 4 ranks take the steps of one rank with the batches of all: the weights after three steps are off by less than 0.1 % of
 * the update, with two views and with crops, LARS and AdamW, in bunches, with a teacher, with dropout and stochastic depth; every rank
 * ends with the same bits. So do ranks with a GPU each, whose sums go through NCCL: on the emulation beside this program. */
#include "cuda_test.h"

#include "core/crc32c.h"
#include "formula.h"
#include "train/step.h"
#include "train/teacher.h"

#include <unistd.h>

enum { BATCH = 8, STEPS = 3 }; /* of all ranks */

typedef struct {
    const char *name, *backbone;
    tw_optim_kind optim;
    int n_groups;
    tw_view_group group[2];
    double lr, weight_decay, clip, drop;
    int bunch; /* samples */
    bool taught, self_label;
    bool devices; /* ranks with a GPU do it too */
} three;

static const three cases[] = {
    {"lars-two", "resnet18", TW_LARS, 1, {{2, 32, 32}}, 0.2, 1.5e-6, 0, 0, BATCH, true, false, false},
    {"lars-crops", "resnet18", TW_LARS, 2, {{2, 32, 32}, {3, 24, 24}}, 0.2, 1.5e-6, 0, 0, 4, false, false, true},
    {"admw-two", "resnet18", TW_ADAMW, 1, {{2, 32, 32}}, 1e-5, 0.05, 3, 0, 4, false, false, false},
    {"admw-crops", "resnet18", TW_ADAMW, 2, {{2, 32, 32}, {3, 24, 24}}, 1e-5, 0.05, 3, 0, BATCH, false, false, false},
    {"vit-crops", "vit_t", TW_SGD, 2, {{2, 32, 32}, {2, 16, 16}}, 1e-3, 1e-3, 0.5, 0.1, 2, false, false, false},
    {"selflabel", "vit_t", TW_SGD, 1, {{3, 32, 32}}, 1e-3, 1e-3, 0, 0, 4, true, true, true}, /* threshold 0: all are chosen */
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

static bool is_bias(const tw_param *p)
{
    return strstr(p->name, ".bias") != NULL;
}

/* As formula_fill, which takes its time over each number; but biases are 3 more, so that norms shift away from the ReLUs' kinks,
 * where rounding decides. */
static void fill(tw_net *net)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        const double low = formula_value(p, 0) + (is_bias(p) ? 3 : 0), high = formula_value(p, 1) + (is_bias(p) ? 3 : 0);
        for (size_t k = 0; p->dtype == TW_F32 && k < p->n; k++)
            ((float *)p->value)[k] = (float)(low + (high - low) * formula_uniform(k, (uint64_t)i));
    }
    CHECK(tw_net_upload(net) == 0);
}

/* Every third weight, one after the other. Without biases: most are taken away again by the norm that follows, so that their gradient
 * is 0 but for rounding, and of that AdamW makes whole steps. Returns how many. */
static size_t sample(float *to, tw_net *net)
{
    size_t n = 0;
    CHECK(tw_net_download(net) == 0);
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        for (size_t k = 0; p->trained && !is_bias(p) && k < p->n; k += 3, n++)
            if (to != NULL)
                to[n] = ((const float *)p->value)[k];
    }
    return n;
}

/* Whether all ranks have the same. */
static bool agreed(tw_comm *comm, const void *x, size_t bytes)
{
    const uint32_t mine = tw_crc32c(0, x, bytes);
    uint32_t all[4];
    bool same = comm->gather(comm, all, &mine, sizeof mine) == 0;
    for (int r = 0; r < comm->ranks; r++)
        same = same && all[r] == mine;
    return same;
}

/* What three steps change; *n numbers, to be freed. As in a run's warm-up, the first step's rate is 0. */
static float *take_steps(size_t *n, const char *device, const three *c, tw_comm *comm)
{
    const int B = BATCH / comm->ranks;
    uint8_t *pictures[2][2] = {{NULL}}; /* of even and odd steps */
    const tw_net_config config = {.backbone = c->backbone, .head = true, .hid_dim = 64, .dim = 12, .act = c->drop > 0 ? "gelu" : "relu", .drop = c->drop, .drop_path = c->drop,
                                  .precision = TW_F32, .threads = 1, .seed = 3, .comm = comm, .blank = true,
                                  .bunch = comm->neighbours(comm, c->bunch > B ? c->bunch / B : 1),
                                  .bunch_samples = c->bunch < B ? c->bunch : 0};
    tw_net *net = tw_net_new(device, &config);
    tw_optim *optim = net != NULL ? tw_optim_new(net, c->optim, 1) : NULL;
    const tw_step_options so = {.loss = {0, 1, 1}, .clip_norm = c->clip, .patience = 60};
    if (optim != NULL)
        fill(net);
    tw_net *teacher = optim != NULL && c->taught ? tw_teacher_net(&config, net) : NULL;
    tw_step *step = optim != NULL ? tw_step_new(net, teacher, optim, c->group, c->n_groups, B, &so) : NULL;
    CHECK(step != NULL && (teacher != NULL) == c->taught);
    if (step == NULL)
        return NULL;
    *n = sample(NULL, net);
    float *before = tw_calloc(*n, sizeof *before), *after = tw_calloc(*n, sizeof *after);
    sample(before, net);
    for (int i = 0; i < 2 * c->n_groups; i++)
        pictures[i % 2][i / 2] = tw_calloc((size_t)(c->group[i / 2].n_views * B * c->group[i / 2].H * c->group[i / 2].W * 3), 1);
    draw(pictures[0], c, 0, comm->rank, B);
    for (int t = 0; t < STEPS; t++) {
        const tw_step_inputs p = {.ahead = comm->rank % 2 == 1 ? pictures[(t + 1) % 2] : NULL, /* some ranks have them early */
                                .lr = t == 0 ? 0 : c->lr, .weight_decay = c->weight_decay, .self_label = c->self_label, .number = t, .momentum = 0.9};
        tw_step_result r;
        draw(pictures[(t + 1) % 2], c, t + 1, comm->rank, B);
        CHECK(tw_step_run(step, &r, pictures[t % 2], &p) == 1);
        const double said[] = {r.terms.loss, r.gradient_norm, r.selflabel.threshold, r.selflabel.selected};
        CHECK(agreed(comm, said, sizeof said));
    }
    sample(after, net);
    CHECK(agreed(comm, after, *n * sizeof *after));
    for (size_t i = 0; i < *n; i++)
        after[i] -= before[i];
    free(before);
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(teacher);
    tw_net_free(net);
    for (int i = 0; i < 2 * c->n_groups; i++)
        free(pictures[i % 2][i / 2]);
    return after;
}

static bool on(const char *device, const three *c)
{
    return strcmp(device, "cpu") == 0 || c->devices;
}

/* One rank of a run; the first one's changes go to PREFIX.CASE. */
static int as_rank(const char *prefix, const char *device)
{
    tw_comm *comm = tw_comm_open();
    CHECK(comm != NULL);
    if (comm == NULL)
        return 1;
    for (int k = 0; k < CASES; k++) {
        if (!on(device, &cases[k]))
            continue;
        char path[300];
        size_t n = 0;
        float *x = take_steps(&n, device, &cases[k], comm);
        snprintf(path, sizeof path, "%s.%s", prefix, cases[k].name);
        FILE *f = comm->rank == 0 ? fopen(path, "w") : NULL;
        CHECK(comm->rank > 0 || (f != NULL && fwrite(x, sizeof *x, n, f) == n && fclose(f) == 0));
        free(x);
    }
    CHECK(comm->close(comm) == 0);
    return test_failed != 0;
}

/* How far the changes that a run of several ranks wrote are from those wanted, as a share of these. */
static double off(const char *prefix, const char *name, const float *want, size_t n)
{
    char path[300];
    double distance = 0, size = 0;
    snprintf(path, sizeof path, "%s.%s", prefix, name);
    FILE *f = fopen(path, "r");
    float *x = tw_calloc(n, sizeof *x);
    CHECK(f != NULL && fread(x, sizeof *x, n, f) == n);
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)want[i];
        distance += d * d;
        size += (double)want[i] * (double)want[i];
    }
    if (f != NULL)
        fclose(f);
    free(x);
    unlink(path);
    return sqrt(distance / size);
}

/* Whether runs of so many ranks do what one rank on the CPU does. */
static void compare(float *const *want, const size_t *n, const char *device, int ranks, const char *program)
{
    char prefix[64], command[4600];
    snprintf(prefix, sizeof prefix, "/tmp/twist-ranks-%d", (int)getpid());
    snprintf(command, sizeof command, "EMULATE_DEVICES=%d ASAN_OPTIONS=detect_leaks=0 timeout --foreground -k 5 600 "
             "mpirun --oversubscribe --allow-run-as-root --bind-to none -n %d %s %s %s 2>&1", ranks, ranks, program, prefix, device);
    CHECK(system(command) == 0);
    for (int k = 0; k < CASES; k++) {
        if (!on(device, &cases[k]))
            continue;
        const double d = off(prefix, cases[k].name, want[k], n[k]);
        printf("%s: %d ranks, %s, are off by %.2g of the update\n", cases[k].name, ranks, device, d);
        CHECK(d < 1e-3);
    }
}

/* Device memory is then host memory to everybody: guarding so much of it takes minutes. Whether there is one. */
static bool unguard(void)
{
    if (tw_backend_open("cuda") == NULL)
        return false;
    void (*open_up)(void) = (void (*)(void))emulated("emu_unguard");
    if (open_up != NULL)
        open_up();
    return open_up != NULL;
}

int main(int argc, char **argv)
{
    float *want[CASES];
    size_t n[CASES];
    test_open(1, argv);
    const bool emulation = unguard();
    if (argc > 2)
        return as_rank(argv[1], argv[2]);
    if (system("command -v mpirun > /dev/null") != 0)
        test_skip("no mpirun");
    for (int k = 0; k < CASES; k++)
        want[k] = take_steps(&n[k], "cpu", &cases[k], tw_comm_single());
    compare(want, n, "cpu", 2, argv[0]);
    compare(want, n, "cpu", 4, argv[0]);
    if (emulation)
        compare(want, n, "cuda", 4, argv[0]); /* lars-crops: in two groups of two */
    else
        printf("skipped: ranks with a GPU each: no emulation of them\n");
    for (int k = 0; k < CASES; k++)
        free(want[k]);
    return test_done();
}
