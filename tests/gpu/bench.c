/* Speed of a training step on the GPU, views made in memory: bench BACKBONE PRECISION BATCH DIM [VIEWS:SIZE ...]
 * Prints views a second and device memory's worth of the plan. Steps run as they do in twist-train. */
#include "core/error.h"
#include "core/mem.h"
#include "core/philox.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

int main(int argc, char **argv)
{
    tw_view_group group[GROUPS];
    uint8_t *pictures[GROUPS];
    int n = 0, V = 0;
    if (argc < 6 || argc - 5 > GROUPS) {
        fputs("usage: bench BACKBONE fp32|bf16|fp16 BATCH DIM VIEWS:SIZE [VIEWS:SIZE...]\n", stderr);
        return 2;
    }
    const int B = atoi(argv[3]), K = atoi(argv[4]);
    const tw_net_config c = {.backbone = argv[1], .head = true, .hid_dim = 4096, .dim = K, .act = "relu", .threads = 1,
                             .precision = strcmp(argv[2], "fp32") == 0 ? TW_F32 : strcmp(argv[2], "bf16") == 0 ? TW_BF16 : TW_F16};
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
        const size_t bytes = (size_t)views * (size_t)B * (size_t)(size * size) * 3;
        pictures[n] = tw_alloc64(bytes);
        for (size_t k = 0; k < bytes; k++)
            pictures[n][k] = (uint8_t)(k * 2654435761u >> 24);
    }
    tw_optim *optim = tw_optim_new(net, TW_LARS, 1);
    tw_step *step = optim == NULL ? NULL : tw_step_new(net, NULL, optim, group, n, B, &o);
    if (step == NULL)
        return fail();
    double start = 0;
    for (int i = 0; i < WARM + STEPS; i++) {
        const tw_step_plan p = {.lr = 0.1, .weight_decay = 1.5e-6, .number = i};
        tw_step_result r;
        if (i == WARM)
            start = now();
        if (tw_step_run(step, &r, pictures, &p) < 0)
            return fail();
    }
    const double seconds = (now() - start) / STEPS;
    printf("%.1f views/s, %.2f ms a step, %.0f MB planned\n", V * B / seconds, 1e3 * seconds, (double)tw_step_bytes(step) / 1e6);
    return 0;
}
