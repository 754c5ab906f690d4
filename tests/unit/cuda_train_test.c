/* Goal: three steps of training on the CUDA backend change the weights as three on the CPU do, in every loss and with every
 * optimizer; what is kept on the device comes back. On a GPU, or on the emulation beside this program. */
#include "cuda_test.h"

#include "train/step.h"
#include "train/teacher.h"

enum { B = 4, CLASSES = 20, STEPS = 3 };

typedef struct {
    const char *name;
    tw_optim_kind optim;
    double lr, drop, clip, lam1, tau, quantile;
    bool taught;
    int n_groups;
    tw_view_group group[2];
    const char *act, *vit; /* vit: the backbone, with stochastic depth; NULL: resnet18 */
} way;

/* The rates are so small that three steps stay near one line: at five times lars's the order of the products' sums alone changed the update
 * by 0.002 and the third loss by 0.01; at these no update by more than 0.0001. */
static const way ways[] = {
    {"lars", TW_LARS, 0.001, 0, 0, 0, 1, 0, false, 1, {{2, 32, 32}}, "relu", NULL},
    {"admw, crops, tau, gelu, dropout, clipped", TW_ADAMW, 5e-6, 0.2, 0.5, -0.6, 0.5, 0, false, 2, {{2, 32, 32}, {2, 24, 24}}, "gelu", NULL},
    {"sgd, taught, tau", TW_SGD, 1e-5, 0, 0, -0.6, 0.7, 0, true, 1, {{2, 32, 32}}, "relu", NULL},
    {"sgd, self-labels, taught", TW_SGD, 1e-5, 0, 0, 0, 1, 0.5, true, 1, {{2, 32, 32}}, "relu", NULL},
    {"vit, admw, crops with resized positions, stochastic depth, clipped", TW_ADAMW, 2e-5, 0, 0.5, -0.6, 1, 0, false, 2, {{2, 32, 32}, {1, 48, 48}}, "gelu",
     "vit_t"},
};

static uint8_t *pictures[STEPS][2];

static void draw(const way *w)
{
    for (int step = 0; step < STEPS; step++) {
        tw_rng rng;
        tw_rng_init(&rng, 9, TW_USE_VIEW, (uint64_t)step, 0, 0);
        for (int i = 0; i < w->n_groups; i++) {
            const size_t n = (size_t)(w->group[i].n_views * B * w->group[i].H * w->group[i].W * 3);
            free(pictures[step][i]);
            pictures[step][i] = malloc(n);
            for (size_t k = 0; k < n; k++)
                pictures[step][i][k] = (uint8_t)tw_rng_u32(&rng);
        }
    }
}

typedef struct {
    float *first, *last, *taught; /* all weights and statistics, before and after; the teacher's */
    size_t n;
    double loss[STEPS], norm[STEPS];
} outcome;

static float *weights(tw_net *net, size_t *n)
{
    *n = 0;
    for (int i = 0; i < tw_net_params(net); i++)
        *n += tw_net_param(net, i)->dtype == TW_F32 ? tw_net_param(net, i)->n : 0;
    float *all = malloc(*n * sizeof *all), *at = all;
    CHECK(tw_net_download(net) == 0);
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        if (p->dtype != TW_F32)
            continue;
        memcpy(at, p->value, p->n * sizeof *at);
        at += p->n;
    }
    return all;
}

static unsigned long (*launches)(void); /* of the emulation; NULL on a device */
static void (*eager)(int on);

static outcome train(const char *device, tw_dtype precision, const way *w)
{
    const tw_net_config c = {.backbone = w->vit != NULL ? w->vit : "resnet18", .pos_grid = 2, .drop_path = w->vit != NULL ? 0.4 : 0,
                             .head = true, .hid_dim = 32, .dim = CLASSES, .act = w->act, .drop = w->drop, .precision = precision, .seed = 3, .threads = 2};
    const tw_step_options so = {.loss = {w->lam1, 1, w->tau}, .clip_norm = w->clip};
    outcome o = {0};
    tw_net *net = tw_net_new(device, &c);
    CHECK(net != NULL);
    if (net == NULL)
        exit(test_done());
    tw_optim *optim = tw_optim_new(net, w->optim, 1);
    tw_net *teacher = w->taught ? tw_teacher_net(&c, net) : NULL;
    tw_step *step = tw_step_new(net, teacher, optim, w->group, w->n_groups, B, &so);
    CHECK(step != NULL);
    o.first = weights(net, &o.n);
    for (int i = 0; i < STEPS; i++) {
        const bool ahead = w->taught && i + 1 < STEPS; /* some send the next step's pictures during this one */
        const tw_step_inputs p = {.ahead = ahead ? pictures[i + 1] : NULL, .lr = w->lr * (i + 1), .weight_decay = 1e-4, .self_label = w->quantile > 0,
                                .confidence = {.quantile = w->quantile}, .number = i, .momentum = 0.9};
        tw_step_result r;
        const unsigned long before = launches != NULL ? launches() : 0;
        CHECK(tw_step_run(step, &r, pictures[i], &p) == 1);
        if (launches != NULL && i == 2 && !w->taught) /* one recorded piece of work, and what goes in and out */
            CHECK(strcmp(device, "cpu") == 0 || launches() - before < 130);
        o.loss[i] = r.terms.loss;
        o.norm[i] = r.gradient_norm;
    }
    o.last = weights(net, &o.n);
    if (teacher != NULL) {
        o.taught = weights(teacher, &o.n);
        CHECK(memcmp(o.first, o.taught, o.n * sizeof *o.first) != 0);
    }
    for (int i = 0; i < tw_net_params(net); i++)
        if (tw_net_param(net, i)->dtype == TW_I64)
            CHECK(*(const int64_t *)tw_net_param(net, i)->value == STEPS * (strstr(tw_net_param(net, i)->name, "backbone") != NULL ? w->n_groups : 1));
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(teacher);
    tw_net_free(net);
    return o;
}

/* How far two changes are apart, in units of the first. */
static double change_off(const float *from, const float *a, const float *b, size_t n)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        const double change = (double)a[i] - (double)from[i], other = (double)b[i] - (double)from[i];
        off += (change - other) * (change - other);
        size += change * change;
    }
    return sqrt(off / size);
}

static void three_steps(const way *w, tw_dtype precision, double tol)
{
    draw(w);
    if (eager != NULL)
        eager(w->tau != 1);
    const outcome a = train("cpu", TW_F32, w), b = train("cuda", precision, w);
    CHECK(a.n == b.n && memcmp(a.first, b.first, a.n * sizeof *a.first) == 0);
    double off = change_off(a.first, a.last, b.last, a.n);
    if (w->taught)
        off = fmax(off, change_off(a.first, a.taught, b.taught, a.n));
    printf("%s, %s: the change of three steps is off by %.2g; losses %.4f %.4f, %.4f %.4f, %.4f %.4f\n", w->name, tw_dtype_name(precision), off,
           a.loss[0], b.loss[0], a.loss[1], b.loss[1], a.loss[2], b.loss[2]);
    if (tw_report != NULL)
        fprintf(tw_report, "three steps, %s\t%s\t%.3g\t%.3g\n", w->name, tw_dtype_name(precision), off, tol);
    CHECK(off <= tol);
    for (int i = 0; i < STEPS; i++)
        CHECK(fabs(a.loss[i] - b.loss[i]) <= tol * fabs(a.loss[i]));
    CHECK(fabs(a.norm[0] - b.norm[0]) <= tol * a.norm[0]);
    free(a.first), free(a.last), free(a.taught), free(b.first), free(b.last), free(b.taught);
}

/* The tensor's gradient, of length 1. */
static float *direction(tw_net *net, const tw_param *p)
{
    float *g = malloc(p->n * sizeof *g);
    double sum = 0;
    CHECK(tw_net_backend(net)->download(tw_net_device(net), g, p->grad, p->n * sizeof *g) == 0);
    for (size_t k = 0; k < p->n; k++)
        sum += (double)g[k] * (double)g[k];
    for (size_t k = 0; k < p->n; k++)
        g[k] = (float)((double)g[k] / sqrt(sum));
    return g;
}

static tw_param *named(tw_net *net, const char *name)
{
    int i = 0;
    while (i < tw_net_params(net) - 1 && strcmp(tw_net_param(net, i)->name, name) != 0)
        i++;
    return tw_net_param(net, i);
}

/* A step on labels: the gradient's norm, the change, and the direction of the gradient of one tensor, whose size goes with the classifier's
 * weights, which are made `blow` times as large: in fp16 it is lost, or overflows, but for the loss's scale, with which steps are passed over until
 * it is small enough. */
static void labelled(const char *backbone, bool small_stem, const char *tensor, tw_dtype precision, float blow, double tol)
{
    enum { N = 4, MOST = 32, BYTES = N * MOST * MOST * 3 };
    static const int32_t label[N] = {3, 0, 9, 3};
    static uint8_t picture[BYTES];
    uint8_t *group_pictures[] = {picture};
    const int side = small_stem ? MOST / 2 : MOST;
    const tw_view_group group = {1, side, side};
    const tw_step_options so = {.supervised = true, .clip_norm = 1, .first = {.scale = blow == 1 ? 1024 : 0}}; /* 0: the usual one, 65536 */
    const tw_step_inputs p = {.lr = 0.5, .label = label};
    float *first[2], *last[2], *grad[2];
    double norm[2];
    size_t n = 0, own = 0;
    for (int k = 0; k < BYTES; k++)
        picture[k] = (uint8_t)(k * 2654435761u >> 23);
    for (int i = 0; i < 2; i++) {
        const tw_net_config c = {.backbone = backbone, .small_stem = small_stem, .classes = 10, .seed = 3, .precision = i == 0 ? TW_F32 : precision,
                                 .threads = 1};
        tw_net *net = tw_net_new(i == 0 ? "cpu" : "cuda", &c);
        tw_param *w = tw_net_param(net, tw_net_params(net) - 2); /* the classifier's weights */
        CHECK(tw_net_download(net) == 0 && w->rank == 2 && w->dim[0] == 10);
        for (size_t k = 0; k < w->n; k++)
            ((float *)w->value)[k] *= blow;
        CHECK(tw_net_upload(net) == 0);
        tw_optim *optim = tw_optim_new(net, TW_SGD, 1);
        tw_step *step = tw_step_new(net, NULL, optim, &group, 1, N, &so);
        tw_step_result r;
        first[i] = weights(net, &n);
        int skipped = -1;
        do {
            CHECK(step != NULL && tw_step_run(step, &r, group_pictures, &p) == 1);
            skipped++;
        } while (r.skipped && skipped < 20);
        CHECK(!r.skipped && (skipped == 0 || (i == 1 && precision == TW_F16)));
        CHECK(skipped > 0 || i == 0 || blow <= 1); /* of 50 times the weights 65536 times the gradient is too much */
        norm[i] = r.gradient_norm;
        last[i] = weights(net, &n);
        own = named(net, tensor)->n;
        grad[i] = direction(net, named(net, tensor));
        tw_step_free(step);
        tw_optim_free(optim);
        tw_net_free(net);
    }
    double off = change_off(first[0], last[0], last[1], n), apart = 0;
    for (size_t k = 0; k < own; k++)
        apart += ((double)grad[0][k] - (double)grad[1][k]) * ((double)grad[0][k] - (double)grad[1][k]);
    printf("labels, %s, %s: norm %.4g %.4g, the change is off by %.2g, a direction by %.2g\n", backbone, tw_dtype_name(precision), norm[0], norm[1], off,
           sqrt(apart));
    CHECK(fabs(norm[1] / norm[0] - 1) < tol && off < tol && sqrt(apart) < 5 * tol);
    for (int i = 0; i < 2; i++)
        free(first[i]), free(last[i]), free(grad[i]);
}

/* Four steps on labels, recorded and played again on a device, the pictures and labels others each time: losses, hits, the change. */
static void labelled_steps(double tol)
{
    enum { N = 4, SIDE = 16, TURNS = 4, BYTES = N * SIDE * SIDE * 3, C = 7 };
    static const int32_t label[TURNS][N] = {{3, 0, 6, 3}, {1, 1, 4, 0}, {2, 3, 3, 6}, {5, 0, 2, 2}};
    static uint8_t picture[TURNS][BYTES];
    uint8_t *views[TURNS] = {picture[0], picture[1], picture[2], picture[3]};
    const tw_view_group group = {1, SIDE, SIDE};
    const tw_step_options so = {.supervised = true};
    float *first[2], *last[2];
    tw_step_result r[2][TURNS];
    size_t n = 0;
    for (int k = 0; k < TURNS * BYTES; k++)
        picture[k / BYTES][k % BYTES] = (uint8_t)(k * 3266489917u >> 23);
    for (int i = 0; i < 2; i++) {
        const tw_net_config c = {.backbone = "resnet18", .small_stem = true, .classes = C, .seed = 3, .precision = TW_F32, .threads = 1};
        tw_net *net = tw_net_new(i == 0 ? "cpu" : "cuda", &c);
        tw_optim *optim = tw_optim_new(net, TW_SGD, 1);
        tw_step *step = tw_step_new(net, NULL, optim, &group, 1, N, &so);
        first[i] = weights(net, &n);
        for (int s = 0; s < TURNS; s++) {
            const tw_step_inputs p = {.lr = 0.001, .label = label[s], .number = s, .ahead = s + 1 < TURNS ? views + s + 1 : NULL};
            CHECK(tw_step_run(step, &r[i][s], views + s, &p) == 1 && !r[i][s].skipped);
        }
        last[i] = weights(net, &n);
        tw_step_free(step);
        tw_optim_free(optim);
        tw_net_free(net);
    }
    for (int s = 0; s < TURNS; s++) {
        CHECK(fabs(r[1][s].terms.loss / r[0][s].terms.loss - 1) < tol && isnan(r[1][s].terms.kl));
        CHECK(fabs(r[1][s].gradient_norm / r[0][s].gradient_norm - 1) < tol);
        CHECK(r[0][s].hits[0] == r[1][s].hits[0] && r[0][s].hits[1] == r[1][s].hits[1]);
    }
    const double off = change_off(first[0], last[0], last[1], n);
    printf("labels, four steps: losses %.4f to %.4f, the change is off by %.2g\n", r[1][0].terms.loss, r[1][TURNS - 1].terms.loss, off);
    CHECK(off < tol);
    for (int i = 0; i < 2; i++)
        free(first[i]), free(last[i]);
}

/* Batches started ahead give what they give one after the other, whoever changes the pictures meanwhile; a third one is refused. */
static void ahead(const char *device, tw_dtype precision, bool head)
{
    enum { N = 3, BATCHES = 5, SIDE = 20, BYTES = N * SIDE * SIDE * 3 };
    const tw_net_config c = {.backbone = "resnet18", .small_stem = true, .head = head, .hid_dim = 24, .dim = CLASSES, .act = "relu", .seed = 3,
                             .precision = precision, .threads = 1};
    const tw_view_group group = {1, SIDE, SIDE};
    static const int rows[BATCHES] = {N, N, 2, N, 1};
    static uint8_t picture[BATCHES][BYTES];
    tw_net *net = tw_net_new(device, &c);
    tw_plan *plan = tw_plan_new(net, &group, 1, N, TW_PLAN_EVAL);
    const size_t D = (size_t)tw_net_feature_dim(net);
    float *features = malloc(BATCHES * N * D * sizeof *features), logits[BATCHES][N * CLASSES];
    const int most = tw_plan_ahead(plan);
    CHECK(most == (strcmp(device, "cpu") == 0 ? 1 : 2));
    for (int i = 0; i < BATCHES; i++) {
        const uint8_t *p = picture[i];
        for (int k = 0; k < BYTES; k++)
            picture[i][k] = (uint8_t)(k * (7 + i) + i);
        CHECK(tw_plan_forward(plan, &p, rows[i], 0) == 0);
        memcpy(features + (size_t)i * N * D, tw_plan_features(plan), N * D * sizeof *features);
        if (head)
            memcpy(logits[i], tw_plan_logits(plan), sizeof logits[i]);
    }
    for (int i = 0; i < BATCHES + most - 1; i++) {
        if (i < BATCHES) {
            uint8_t now[BYTES];
            memcpy(now, picture[i], BYTES);
            CHECK(tw_plan_start(plan, now, rows[i]) == 0);
            memset(now, 0, BYTES);
        }
        if (i == 1 && most == 2)
            CHECK(tw_plan_start(plan, picture[i], N) != 0);
        const int done = i - most + 1;
        if (done < 0)
            continue;
        CHECK(tw_plan_finish(plan) == 0);
        CHECK(memcmp(features + (size_t)done * N * D, tw_plan_features(plan), (size_t)rows[done] * D * sizeof *features) == 0);
        CHECK(!head || memcmp(logits[done], tw_plan_logits(plan), (size_t)rows[done] * CLASSES * sizeof(float)) == 0);
    }
    CHECK(most == 1 || tw_plan_finish(plan) != 0);
    free(features);
    tw_plan_free(plan);
    tw_net_free(net);
}

int main(int argc, char **argv)
{
    test_open(argc, argv);
    const tw_backend *be = tw_backend_open("cuda");
    if (be == NULL || be->devices() < 1)
        test_skip("no libtwist-cuda.so with a device, nor the emulation of one");
    launches = (unsigned long (*)(void))emulated("emu_launches");
    eager = (void (*)(int))emulated("emu_eager");
    void (*unguard)(void) = (void (*)(void))emulated("emu_unguard");
    if (unguard != NULL && getenv("EMULATE_GUARDED") == NULL) /* minutes: see tests/long */
        unguard();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        three_steps(&ways[i], TW_F32, launches != NULL ? 0.001 : 0.01);
    labelled("resnet18", true, "backbone.conv1.weight", TW_F32, 1, 0.01);
    labelled("resnet18", true, "backbone.conv1.weight", TW_F16, 1e-4f, 0.05);
    labelled("resnet18", true, "backbone.conv1.weight", TW_F16, 50, 0.05);
    labelled("resnet50", true, "backbone.layer4.2.conv1.weight", TW_F16, 1, 0.15); /* with norms of all kinds beside its convolutions */
    labelled("resnet18", false, "backbone.layer4.1.conv2.weight", TW_F16, 1, 0.05);
    labelled("vit_t", false, "backbone.blocks.0.mlp.fc1.weight", TW_F32, 1, 0.01); /* no branch is left out: all sums go with the products before them */
    labelled("vit_t", false, "backbone.blocks.0.mlp.fc1.weight", TW_F16, 1, 0.02);
    labelled_steps(launches != NULL ? 0.001 : 0.02);
    setenv("EMULATE_NO_CAPTURE", "1", 1); /* steps that cannot be recorded are taken call by call, with the weights as they are then */
    labelled_steps(launches != NULL ? 0.001 : 0.02);
    unsetenv("EMULATE_NO_CAPTURE");
    ahead("cpu", TW_F32, true);
    ahead("cuda", TW_F32, true);
    if (eager != NULL)
        eager(1);
    ahead("cuda", TW_BF16, false);
    for (int i = 0; i < STEPS; i++)
        free(pictures[i][0]), free(pictures[i][1]);
    return test_done();
}
