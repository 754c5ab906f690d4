/* Speed of a training step on the GPU, views made in memory and sent during the step before: bench BACKBONE PRECISION BATCH DIM [VIEWS:SIZE ...]
 * Prints views a second, the card's memory that is in use, seconds until two steps were done, and the losses of the first, the sixth and the last step,
 * which tell a wrong result; fails where they are no numbers or a step was not taken (in fp16: more than the ten that its scale may cost). Steps run as
 * they do in twist-train, with LARS, of vision transformers with AdamW.
 * Speed of embedding, pictures already on the GPU: bench eval BACKBONE PRECISION BATCH SIZE
 * Speed of the TWIST loss in bf16, forward and backward: bench loss VIEWS BATCH DIM */
#include "core/error.h"
#include "core/mem.h"
#include "core/philox.h"
#include "train/step.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM = 5, STEPS = 30, GROUPS = 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(void)
{
    fprintf(stderr, "bench: %s\n", tw_error());
    return 1;
}

static tw_dtype precision_of(const char *name)
{
    return strcmp(name, "fp32") == 0 ? TW_F32 : strcmp(name, "bf16") == 0 ? TW_BF16 : TW_F16;
}

/* Bytes of the card that are in use, by whom ever; 0: the driver does not say. */
static double memory_in_use(void)
{
    size_t left = 0, all = 0;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    int (*info)(size_t *left, size_t *all) = NULL;
    if (driver != NULL)
        *(void **)&info = dlsym(driver, "cuMemGetInfo_v2");
    return info != NULL && info(&left, &all) == 0 ? (double)(all - left) : 0;
}

static uint8_t *make_pictures(size_t bytes)
{
    uint8_t *p = tw_alloc64(bytes);
    for (size_t k = 0; p != NULL && k < bytes; k++)
        p[k] = (uint8_t)(k * 2654435761u >> 24);
    return p;
}

static int bench_eval(char **argv)
{
    const int B = atoi(argv[2]), size = atoi(argv[3]);
    const tw_net_config c = {.backbone = argv[0], .threads = 1, .precision = precision_of(argv[1])};
    const tw_view_group group = {1, size, size};
    const uint8_t *pictures = make_pictures((size_t)B * (size_t)(size * size) * 3);
    tw_net *net = tw_net_new("cuda", &c);
    tw_plan *plan = net == NULL ? NULL : tw_plan_new(net, &group, 1, B, TW_PLAN_EVAL);
    if (pictures == NULL || plan == NULL || tw_plan_forward(plan, &pictures, B, 0) != 0)
        return fail();
    const tw_backend *be = tw_net_backend(net);
    float seen;
    double start = 0;
    for (int i = 0; i < WARM + STEPS; i++) {
        if (i == WARM && be->download(tw_net_device(net), &seen, tw_net_param(net, 0)->device, sizeof seen) != 0) /* waits */
            return fail();
        if (i == WARM)
            start = now();
        if (tw_plan_run(plan) != 0)
            return fail();
    }
    if (be->download(tw_net_device(net), &seen, tw_net_param(net, 0)->device, sizeof seen) != 0)
        return fail();
    const double seconds = (now() - start) / STEPS;
    printf("%.1f views/s, %.2f ms a batch, %.0f MB in use\n", B / seconds, 1e3 * seconds, memory_in_use() / 1e6);
    return 0;
}

static int bench_loss(char **argv)
{
    const int V = atoi(argv[0]), B = atoi(argv[1]), K = atoi(argv[2]);
    const size_t n = (size_t)V * (size_t)B * (size_t)K;
    const tw_backend *be = tw_backend_open("cuda");
    tw_dev *d = be != NULL ? be->open(TW_BF16, 1) : NULL;
    float *f = tw_alloc64(n * sizeof *f), seen;
    if (d == NULL || f == NULL)
        return fail();
    be->enter(d);
    tw_rng rng;
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    for (size_t i = 0; i < n; i++)
        f[i] = (float)tw_rng_u32(&rng) * 0x1p-30f - 2;
    void *logits = be->alloc(d, 2 * n), *gradient = be->alloc(d, 2 * n);
    float *w = be->alloc(d, 64 * sizeof *w);
    const tw_learn_tensor tensor = {.w = w, .g = w, .state = {w, NULL}, .n = 16, .rate = 1};
    const tw_learn_config c = {.V = V, .B = B, .K = K, .ranks = 1, .lam2 = 1, .tau = 1, .optim = TW_LEARN_SGD, .tensor = &tensor, .tensors = 1};
    const tw_learn_numbers numbers = {.number = 1, .adam = 1};
    tw_learn *l = w != NULL && logits != NULL && gradient != NULL ? be->learn_new(d, &c) : NULL;
    if (l == NULL || be->from_f32(d, logits, f, n) != 0 || be->learn_begin(l, &numbers) != 0)
        return fail();
    double start = 0;
    for (int i = 0; i < WARM + STEPS; i++) {
        if (i == WARM && be->download(d, &seen, w, sizeof seen) == 0)
            start = now();
        if (be->learn_loss(l, gradient, logits, NULL, NULL, false) != 0)
            return fail();
    }
    if (be->download(d, &seen, w, sizeof seen) != 0)
        return fail();
    const double seconds = (now() - start) / STEPS;
    printf("%.3f ms: %.2f times what reading and writing the logits once takes at 4.8 TB/s\n", 1e3 * seconds, seconds * 4.8e12 / (double)(4 * n));
    return 0;
}

int main(int argc, char **argv)
{
    tw_view_group group[GROUPS];
    uint8_t *set[2][GROUPS];
    int n = 0, V = 0;
    if (argc == 6 && strcmp(argv[1], "eval") == 0)
        return bench_eval(argv + 2);
    if (argc == 5 && strcmp(argv[1], "loss") == 0)
        return bench_loss(argv + 2);
    if (argc < 6 || argc - 5 > GROUPS) {
        fputs("usage: bench BACKBONE fp32|bf16|fp16 BATCH DIM VIEWS:SIZE [VIEWS:SIZE...]\n"
              "       bench eval BACKBONE fp32|bf16|fp16 BATCH SIZE\n"
              "       bench loss VIEWS BATCH DIM\n", stderr);
        return 2;
    }
    const double begun = now();
    const int B = atoi(argv[3]), K = atoi(argv[4]);
    const tw_net_config c = {.backbone = argv[1], .head = true, .hid_dim = 4096, .dim = K, .act = "relu", .threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
                             .precision = precision_of(argv[2])};
    const tw_step_options o = {.loss = {0, 1, 1}};
    tw_net *net = tw_net_new("cuda", &c);
    if (net == NULL)
        return fail();
    for (int i = 5; i < argc; i++, n++) {
        int views, size;
        if (sscanf(argv[i], "%d:%d", &views, &size) != 2)
            return 2;
        group[n] = (tw_view_group){views, size, size};
        V += views;
        for (int k = 0; k < 2; k++)
            set[k][n] = make_pictures((size_t)views * (size_t)B * (size_t)(size * size) * 3);
    }
    const bool vit = strncmp(argv[1], "vit", 3) == 0;
    tw_optim *optim = tw_optim_new(net, vit ? TW_ADAMW : TW_LARS, 1);
    tw_step *step = optim == NULL ? NULL : tw_step_new(net, NULL, optim, group, n, B, &o);
    if (step == NULL)
        return fail();
    double start = 0, first = 0, loss[3] = {0};
    int taken = 0;
    for (int i = 0; i < WARM + STEPS; i++) {
        const tw_step_inputs p = {.ahead = set[(i + 1) % 2], .lr = vit ? 1e-4 : 0.1, .weight_decay = vit ? 0.05 : 1.5e-6, .number = i};
        tw_step_result r;
        if (i == WARM)
            start = now();
        const int rc = tw_step_run(step, &r, set[i % 2], &p);
        if (rc < 0)
            return fail();
        taken += rc == 1 && !r.skipped;
        loss[i == 0 ? 0 : i <= WARM ? 1 : 2] = r.terms.loss;
        if (i == 1) {
            first = now() - begun;
            printf("%.0f s to two steps\n", first); /* all there is to see of a run that is cut off */
            fflush(stdout);
        }
    }
    const double seconds = (now() - start) / STEPS;
    printf("%.1f views/s, %.2f ms a step, %.0f MB in use, %.0f MB planned, %.0f s to two steps, %d of %d taken, losses %.4f %.4f %.4f\n",
           V * B / seconds, 1e3 * seconds, memory_in_use() / 1e6, (double)tw_step_bytes(step) / 1e6, first, taken, WARM + STEPS, loss[0], loss[1],
           loss[2]);
    return taken >= WARM + STEPS - (c.precision == TW_F16 ? 10 : 0) && isfinite(loss[2]) ? 0 : 1;
}
