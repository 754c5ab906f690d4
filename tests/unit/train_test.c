/* Goal: the losses and three steps of each optimizer are PyTorch's (tests/golden/train/make.py, f64): losses, gradient norms, the
 * weights after, to 1 % of the size of the update; nothing changes where a number is not finite; schedules; the log. */
#include "test.h"

#include "core/mem.h"
#include "formula.h"
#include "report/jsonl.h"
#include "train/keep.h"
#include "train/learner.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/teacher.h"

#include <unistd.h>

enum { PROJECTIONS = 8 };

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

/* How a tensor begins: as in formula.h, but the shifts of norms before a ReLU are 3 more, see make.py. */
typedef struct {
    const tw_param *p;
    formula_kind kind;
    uint64_t number;
    float shift;
} beginning;

static beginning begin(tw_net *net, int i)
{
    static const char *const unshifted[] = {"last_linear", "head.0.", "head.4.", "fc.", "backbone.blocks", "backbone.norm", "patch_embed"};
    const tw_param *p = tw_net_param(net, i);
    bool shifted = ends(p->name, ".bias");
    for (size_t k = 0; k < sizeof unshifted / sizeof *unshifted; k++)
        shifted = shifted && strstr(p->name, unshifted[k]) == NULL;
    return (beginning){p, formula_kind_of(p), (uint64_t)i, shifted ? 3 : 0};
}

static float first_value(const beginning *b, size_t k)
{
    return (float)formula_of(b->kind, b->p, formula_uniform(k, b->number)) + b->shift;
}

/* act NULL: no head, a classifier of 12 classes. */
static tw_net_config config(const char *backbone, bool small_stem, const char *act)
{
    return (tw_net_config){.backbone = backbone, .small_stem = small_stem, .head = act != NULL, .hid_dim = 128, .dim = 12, .act = act,
                           .classes = 12, .precision = TW_F32, .blank = true, .threads = 2};
}

static tw_net *network(const char *backbone, bool small_stem, const char *act)
{
    const tw_net_config c = config(backbone, small_stem, act);
    tw_net *net = tw_net_new("cpu", &c);
    for (int i = 0; net != NULL && i < tw_net_params(net); i++) {
        tw_param *p = tw_net_param(net, i);
        const beginning b = begin(net, i);
        for (size_t k = 0; p->dtype == TW_F32 && k < p->n; k++)
            ((float *)p->value)[k] = first_value(&b, k);
    }
    return net;
}

typedef struct {
    const char *file, *backbone;
    tw_optim_kind optim;
    bool small_stem;
    const char *act;
    int n_groups;
    tw_view_group group[2];
    int batch;
    double lr[3], weight_decay[3], clip, lam1, tau, quantile;
    double momentum[3]; /* with a teacher; the last one 0: none */
} three;

static const three cases[] = {
    {"lars-two", "resnet18", TW_LARS, false, "relu", 1, {{2, 32, 32}}, 8, {0.2, 0.3, 0.25}, {1.5e-6, 1.5e-6, 1.5e-6}, 0, 0, 1, 0, {0}},
    {"lars-crops", "resnet18", TW_LARS, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {0.2, 0.3, 0.25}, {1.5e-6, 1.5e-6, 1.5e-6}, 0, 0, 1, 0, {0}},
    {"sgd-two", "resnet18", TW_SGD, false, "relu", 1, {{2, 32, 32}}, 8, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0, 0, 1, 0, {0}},
    {"sgd-crops", "resnet18", TW_SGD, false, "gelu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0.5, -0.6, 0.5, 0, {0}},
    {"admw-two", "resnet18", TW_ADAMW, false, "relu", 1, {{2, 32, 32}}, 8, {1e-5, 2e-5, 1.5e-5}, {0.05, 0.05, 0.05}, 0, 0, 1, 0, {0}},
    {"admw-crops", "resnet18", TW_ADAMW, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 8, {1e-5, 2e-5, 1.5e-5}, {0.05, 0.05, 0.05}, 3, 0, 1, 0, {0}},
    {"selflabel", "resnet18", TW_SGD, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0, 0, 1, 0.5, {0}},
    {"small-stem", "resnet18", TW_SGD, true, "relu", 1, {{2, 16, 16}}, 6, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0, 0, 1, 0, {0}},
    {"lars-clip", "resnet18", TW_LARS, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {0.2, 0.3, 0.25}, {1.5e-6, 1e-4, 3e-4}, 0.3, 0, 1, 0, {0}},
    {"taught-admw", "resnet18", TW_ADAMW, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 8, {1e-5, 2e-5, 1.5e-5}, {0.04, 0.07, 0.12}, 0.5, -0.6, 1, 0,
     {0.6, 0.8, 0.9}},
    {"taught-lars", "resnet18", TW_LARS, false, "relu", 1, {{2, 32, 32}}, 8, {0.2, 0.3, 0.25}, {1.5e-6, 1.5e-6, 1.5e-6}, 0, -0.6, 0.5, 0, {0.6, 0.8, 0.9}},
    {"taught-selflabel", "resnet18", TW_SGD, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0, -0.6, 1, 0.5,
     {0.6, 0.8, 0.9}},
    {"labels", "resnet18", TW_SGD, false, NULL, 1, {{1, 32, 32}}, 8, {1e-3, 2e-3, 1.5e-3}, {1e-3, 1e-3, 1e-3}, 0, 0, 1, 0, {0}}, /* supervised */
    {"resnet50", "resnet50", TW_LARS, false, "relu", 2, {{2, 32, 32}, {3, 24, 24}}, 6, {0.2, 0.3, 0.25}, {1.5e-6, 1e-4, 3e-4}, 0.3, 0, 1, 0, {0}},
    {"resnet50w2", "resnet50w2", TW_LARS, false, "relu", 1, {{2, 32, 32}}, 6, {0.2, 0.3, 0.25}, {1.5e-6, 1.5e-6, 1.5e-6}, 0, 0, 1, 0, {0}},
    {"vit_t", "vit_t", TW_ADAMW, false, "gelu", 2, {{2, 48, 48}, {3, 32, 32}}, 6, {1e-4, 2e-4, 1.5e-4}, {0.04, 0.07, 0.12}, 0.5, 0, 1, 0, {0}},
    {"vit_t-taught", "vit_t", TW_ADAMW, false, "relu", 2, {{2, 48, 48}, {3, 32, 32}}, 6, {1e-4, 2e-4, 1.5e-4}, {0.06, 0.06, 0.06}, 3, -0.6, 1, 0,
     {0.6, 0.8, 0.9}},
    {"vit_t-selflabel", "vit_t", TW_ADAMW, false, "gelu", 2, {{2, 48, 48}, {3, 32, 32}}, 6, {1e-4, 2e-4, 1.5e-4}, {0.06, 0.06, 0.06}, 0, -0.6, 1, 0.5,
     {0.6, 0.8, 0.9}},
    {"vit_s-taught", "vit_s", TW_LARS, false, "gelu", 2, {{2, 48, 48}, {3, 32, 32}}, 6, {0.2, 0.3, 0.25}, {1.5e-6, 1.5e-6, 1.5e-6}, 0.5, -0.6, 1, 0,
     {0.6, 0.8, 0.9}},
};

/* Pictures of step t by formula, as make.py's: noise on tiles of 8 x 8. */
static void draw(uint8_t **pictures, const three *c, int t)
{
    for (int i = 0; i < c->n_groups; i++) {
        const tw_view_group *g = &c->group[i];
        const uint64_t number = (uint64_t)(2000 + 10 * t + i);
        size_t k = 0;
        for (int n = 0; n < g->n_views * c->batch; n++)
            for (int y = 0; y < g->H; y++)
                for (int x = 0; x < g->W; x++)
                    for (int ch = 0; ch < 3; ch++, k++) {
                        const int tile = ((n * (g->H / 8) + y / 8) * (g->W / 8) + x / 8) * 3 + ch;
                        pictures[i][k] = (uint8_t)floor(256 * (0.7 * formula_uniform((uint64_t)tile, number + 500) + 0.3 * formula_uniform(k, number)));
                    }
    }
}

/* Adds to *off and *size the squared distance and norm of the tensor's change, of every stride-th element, by its projections. */
static void compare_change(tw_net *net, const char *name, size_t stride, const double *want, double *off, double *size)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        if (strcmp(p->name, name) != 0)
            continue;
        const beginning b = begin(net, i);
        double projection[PROJECTIONS] = {0}, distance = 0;
        for (size_t k = 0; k < p->n; k += stride) {
            const double d = (double)((const float *)p->value)[k] - (double)first_value(&b, k);
            for (uint64_t j = 0; j < PROJECTIONS; j++)
                projection[j] += formula_uniform(k / stride, 5000 + j) < 0.5 ? -d : d;
        }
        for (int j = 0; j < PROJECTIONS; j++)
            distance += (projection[j] - want[1 + j]) * (projection[j] - want[1 + j]) / PROJECTIONS;
        *off += distance;
        *size += want[0] * want[0];
        return;
    }
    CHECK(!"a tensor of this name");
}

/* How far a network's changes are from the file's, by their size. */
typedef struct {
    double off, size;
} distance;

static void three_steps(const three *c)
{
    char path[64], kind[16], name[96];
    double v[16];
    distance own = {0, 0}, taught = {0, 0};
    uint8_t *pictures[2] = {NULL, NULL};
    snprintf(path, sizeof path, "tests/golden/train/%s.txt", c->file);
    FILE *f = fopen(path, "r");
    tw_net *net = network(c->backbone, c->small_stem, c->act);
    tw_optim *optim = net != NULL ? tw_optim_new(net, c->optim, 1) : NULL;
    const tw_net_config like = config(c->backbone, c->small_stem, c->act);
    tw_net *teacher = c->momentum[2] > 0 ? tw_teacher_net(&like, net) : NULL;
    const tw_step_options so = {.loss = {c->lam1, 1, c->tau}, .clip_norm = c->clip, .supervised = c->act == NULL};
    tw_step *step = optim != NULL ? tw_step_new(net, teacher, optim, c->group, c->n_groups, c->batch, &so) : NULL;
    CHECK(f != NULL && step != NULL);
    if (f == NULL || step == NULL)
        return;
    tw_net_changed(net);
    for (int i = 0; c->act == NULL && i < tw_net_params(net); i++) /* as twist-finetune */
        tw_optim_rule(optim, i, strncmp(tw_net_param(net, i)->name, "fc.", 3) == 0 ? 20 : 1, true);
    for (int i = 0; i < c->n_groups; i++)
        pictures[i] = tw_calloc((size_t)(c->group[i].n_views * c->batch * c->group[i].H * c->group[i].W * 3), 1);
    double losses[3] = {0}, norms[3] = {0};
    for (int t = 0; t < 3; t++) {
        int32_t label[8];
        for (int i = 0; i < 8; i++)
            label[i] = (7 * i + t) % 12;
        const tw_step_inputs p = {.label = label, .lr = c->lr[t], .weight_decay = c->weight_decay[t], .self_label = c->quantile > 0,
                                .confidence = {c->quantile, 0}, .number = t, .momentum = c->momentum[t]};
        tw_step_result r;
        draw(pictures, c, t);
        CHECK(tw_step_run(step, &r, pictures, &p) == 1);
        losses[t] = r.terms.loss;
        norms[t] = r.gradient_norm;
    }
    CHECK(golden_line(f, kind, name, v) == 3);
    for (int t = 0; t < 3; t++)
        CHECK_NEAR(losses[t], v[t], 2e-3); /* PyTorch's own f32 is as far from its f64 after two steps */
    CHECK(golden_line(f, kind, name, v) == 3);
    for (int t = 0; t < 3; t++)
        CHECK_NEAR(norms[t] / v[t], 1, 5e-3);
    while (golden_line(f, kind, name, v) == 1 + PROJECTIONS) {
        size_t stride = 1;
        CHECK(strcmp(kind, "change") == 0 || sscanf(kind, "every%zu", &stride) == 1);
        if (strncmp(name, "teacher.", 8) == 0)
            compare_change(teacher, name + 8, stride, v, &taught.off, &taught.size);
        else
            compare_change(net, name, stride, v, &own.off, &own.size);
    }
    printf("%s: weights are off by %.2g of the update\n", c->file, sqrt(own.off / own.size));
    CHECK(own.size > 0 && sqrt(own.off / own.size) < 0.01);
    if (teacher != NULL) {
        printf("%s: the teacher's by %.2g\n", c->file, sqrt(taught.off / taught.size));
        CHECK(taught.size > 0 && sqrt(taught.off / taught.size) < 0.01);
    }
    fclose(f);
    for (int i = 0; i < c->n_groups; i++)
        free(pictures[i]);
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(teacher);
    tw_net_free(net);
}

/* The losses and their gradients for many shapes and weights. */
static void losses(void)
{
    FILE *f = fopen("tests/golden/train/losses.txt", "r");
    int V, B, K, lines = 0;
    double lam1, lam2, tau, want[4];
    CHECK(f != NULL);
    while (f != NULL &&
           fscanf(f, "%d %d %d %lf %lf %lf %lf %lf %lf %lf", &V, &B, &K, &lam1, &lam2, &tau, want, want + 1, want + 2, want + 3) == 10) {
        const size_t n = (size_t)(V * B * K);
        float *logits = tw_calloc(n, sizeof *logits), *d = tw_calloc(n, sizeof *d);
        const bool self = tau == -1, taught = tau < -10; /* how make.py marks them */
        float *teacher = taught ? tw_calloc(n, sizeof *teacher) : NULL;
        tau = taught ? -10 - tau : tau;
        for (size_t k = 0; k < n; k++)
            logits[k] = (float)(8 * formula_uniform(k, self ? 43 : 42) - 4);
        for (size_t k = 0; taught && k < (size_t)(2 * B * K); k++)
            teacher[k] = (float)(8 * formula_uniform(k, 44) - 4);
        if (self) {
            tw_selflabel_terms t;
            const tw_confidence c = {lam1, 0};
            CHECK(tw_loss_selflabel(&t, d, logits, NULL, V, B, K, &c) == 0);
            CHECK_NEAR(t.loss, want[0], 1e-6);
        } else {
            const tw_loss_weights w = {lam1, lam2, tau};
            tw_loss_terms t;
            tw_loss *l = tw_loss_new(&w, V, B, K, tw_comm_single());
            CHECK(l != NULL && tw_loss_twist(l, &t, d, logits, teacher) == 0);
            CHECK_NEAR(t.loss, want[0], 1e-5); /* f32 probabilities and logarithms */
            CHECK_NEAR(t.kl, want[1], 1e-5);
            CHECK_NEAR(t.eh, want[2], 1e-5);
            CHECK_NEAR(t.he, want[3], 1e-5);
            double eh, he; /* with two views they are the loss's */
            CHECK(tw_loss_entropies(l, &eh, &he, logits) == 0);
            CHECK(V > 2 || (fabs(eh - want[2]) < 1e-5 && fabs(he - want[3]) < 1e-5));
            tw_loss_free(l);
        }
        double worst = 0;
        for (size_t k = 0; k < n; k++) {
            double v = NAN;
            CHECK(fscanf(f, "%lf", &v) == 1);
            worst = fmax(worst, fabs(v - (double)d[k]));
        }
        CHECK(worst < 2e-6);
        free(logits), free(d), free(teacher);
        lines++;
    }
    CHECK(lines == 11);
    if (f != NULL)
        fclose(f);
}

/* Whether all values of the net are what three_steps begins with. */
static bool untouched(tw_net *net)
{
    bool same = true;
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *t = tw_net_param(net, i);
        const beginning b = begin(net, i);
        for (size_t k = 0; t->dtype == TW_F32 && k < t->n; k++)
            same = same && ((const float *)t->value)[k] == first_value(&b, k);
        same = same && (t->dtype == TW_F32 || *(const int64_t *)t->value == 0);
    }
    return same;
}

/* A step whose loss or gradient is not finite leaves weights, statistics and optimizer alone, and the teacher. */
static void not_finite(void)
{
    const three *c = &cases[2];
    uint8_t *pictures = tw_calloc(16 * 32 * 32 * 3, 1);
    tw_net *net = network("resnet18", false, "relu");
    tw_optim *optim = tw_optim_new(net, TW_SGD, 1);
    const tw_step_options so = {.loss = {0, 1, 1}};
    const tw_net_config like = config("resnet18", false, "relu");
    tw_net *teacher = tw_teacher_net(&like, net);
    tw_step *step = tw_step_new(net, teacher, optim, c->group, 1, 8, &so);
    const tw_step_inputs p = {.lr = 1e-3, .momentum = 0.5};
    tw_step_result r;
    draw(&pictures, c, 0);
    float *poisoned = tw_net_param(net, 0)->value;
    const float keep = poisoned[5];
    poisoned[5] = NAN;
    tw_net_changed(net);
    CHECK(tw_step_run(step, &r, &pictures, &p) == 0 && isnan(r.terms.loss));
    poisoned[5] = keep;
    CHECK(untouched(net) && untouched(teacher));
    CHECK(tw_optim_steps(optim) == 0);
    tw_net_changed(net);
    /* the teacher's too, which labels */
    const tw_step_inputs labels = {.lr = 1e-3, .momentum = 0.5, .self_label = true, .confidence = {0.5, 0}};
    poisoned = tw_net_param(teacher, 0)->value;
    const float kept = poisoned[5];
    poisoned[5] = NAN;
    tw_net_changed(teacher);
    CHECK(tw_step_run(step, &r, &pictures, &labels) == 0 && isnan(r.terms.loss));
    poisoned[5] = kept;
    tw_net_changed(teacher);
    CHECK(untouched(net) && untouched(teacher) && tw_optim_steps(optim) == 0);
    CHECK(tw_step_run(step, &r, &pictures, &p) == 1 && isfinite(r.terms.loss));
    CHECK(tw_optim_steps(optim) == 1 && !untouched(net) && !untouched(teacher));
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(teacher);
    tw_net_free(net);
    free(pictures);
}

/* One view that is no number, of the teacher alone or of the network, is a loss that is none: not a sample that is left out. */
static void no_labels(void)
{
    enum { V = 3, B = 4, K = 5 };
    float logits[V * B * K], teacher[2 * B * K], d[V * B * K];
    for (int i = 0; i < V * B * K; i++)
        logits[i] = (float)(8 * formula_uniform((uint64_t)i, 43) - 4);
    for (int fixed = 0; fixed < 2; fixed++)
        for (int taught = 0; taught < 2; taught++)
            for (int row = 0; row < 2 * B; row++) {
                const tw_confidence c = {fixed ? 0 : 0.5, 0.25};
                tw_selflabel_terms t;
                float *of = taught ? teacher : logits;
                memcpy(teacher, logits, sizeof teacher);
                const float good = of[row * K + 2];
                CHECK(tw_loss_selflabel(&t, d, logits, taught ? teacher : NULL, V, B, K, &c) == 0 && isfinite(t.loss));
                of[row * K + 2] = row % 2 == 0 ? NAN : INFINITY;
                CHECK(tw_loss_selflabel(&t, d, logits, taught ? teacher : NULL, V, B, K, &c) == 0 && isnan(t.loss) && t.selected == 0);
                of[row * K + 2] = good;
            }
}

static void schedules(void)
{
    const tw_schedule s = {.lr = 2, .lr_sl = 0.5, .weight_decay = 0.04, .weight_decay_end = 0.4, .epochs = 30, .mme_epochs = 20,
                           .warmup_epochs = 5, .sl_warmup_epochs = 2, .steps_per_epoch = 10};
    CHECK(tw_schedule_warmup(20) == 3 && tw_schedule_warmup(50) == 5 && tw_schedule_warmup(51) == 10);
    CHECK_NEAR(tw_schedule_lr(&s, 0, 0), 0, 0);
    CHECK_NEAR(tw_schedule_lr(&s, 2, 5), 1, 1e-12);
    CHECK_NEAR(tw_schedule_lr(&s, 5, 0), 2, 1e-12);
    CHECK_NEAR(tw_schedule_lr(&s, 12, 5), 1.001, 1e-12); /* half of the cosine: (lr + 0.001 lr) / 2 */
    CHECK_NEAR(tw_schedule_lr(&s, 19, 9), 0.002, 0.001);
    CHECK_NEAR(tw_schedule_lr(&s, 20, 0), 0, 0);
    CHECK_NEAR(tw_schedule_lr(&s, 21, 0), 0.25, 1e-12);
    CHECK_NEAR(tw_schedule_lr(&s, 22, 0), 0.5, 1e-12);
    CHECK_NEAR(tw_schedule_lr(&s, 26, 0), 0.5 * 0.5005, 1e-12);
    CHECK_NEAR(tw_schedule_weight_decay(&s, 0, 0), 0.04, 1e-12);
    CHECK_NEAR(tw_schedule_weight_decay(&s, 15, 0), 0.22, 1e-12);
    CHECK_NEAR(tw_schedule_momentum(&s, 0.9, 1, 0, 0), 0.9, 1e-12);
    CHECK_NEAR(tw_schedule_momentum(&s, 0.9, 1, 10, 0), 0.95, 1e-12);
    CHECK_NEAR(tw_schedule_momentum(&s, 0.9, 1, 20, 0), 1, 0);
    CHECK_NEAR(tw_schedule_quantile(&s, 0.5, 0.6, 20, 3, 0), 0.5, 0);
    CHECK_NEAR(tw_schedule_quantile(&s, 0.5, 0.6, 20, 25, 0), 0.55, 1e-12);
}

/* Agreement, classes and deviations of a batch made by hand. */
static void monitor(void)
{
    const float logits[] = {2, 0, 0, 0, 3, 0, /* view 1: */ 1, 0, 0, 0, 0, 5};
    const int32_t label[] = {0, 1};
    const tw_loss_terms t = {1, 2, 3, 4};
    tw_monitor *m = tw_monitor_new(2, 3, tw_comm_single());
    tw_epoch_summary e;
    CHECK(tw_monitor_step(m, &t, 2, logits, logits, label) == 0 && tw_monitor_step(m, &t, 2, logits, logits, label) == 0);
    CHECK(tw_monitor_epoch(&e, m) == 0);
    CHECK(e.steps == 2);
    CHECK_NEAR(e.mean.he, 4, 0);
    CHECK_NEAR(e.agreement, 0.5, 0);
    CHECK_NEAR(e.classes, 2, 0);
    CHECK_NEAR(e.nmi, 1, 1e-12);
    CHECK_NEAR(e.column_std, (sqrt(0.6875) + sqrt(1.6875) + sqrt(4.6875)) / 3, 1e-6);
    CHECK_NEAR(e.row_std, (sqrt(8) + sqrt(18) + sqrt(2) + sqrt(50)) / 12, 1e-6);
    CHECK(tw_monitor_epoch(&e, m) == 0 && e.steps == 0);
    tw_monitor_free(m);
}

/* Writes a checkpoint of nothing but these notes and samples, and takes them from it. */
static int keep_and_read(tw_monitor *to, tw_watch *w, const char *notes, const tw_named_tensor *samples)
{
    char path[] = "/tmp/twist-keep-XXXXXX";
    const char *meta[1][2] = {{"notes", notes}};
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(tw_safetensors_write(path, samples, samples->name != NULL, (const char *const(*)[2])meta, 1) == 0);
    tw_checkpoint *f = tw_checkpoint_open(path);
    CHECK(f != NULL);
    const int rc = f != NULL ? tw_keep_read(to, w, 3, f) : -1;
    tw_checkpoint_close(f);
    unlink(path);
    return rc;
}

/* An epoch that a checkpoint interrupts comes to the same numbers; notes that are damaged are refused. */
static void keep(void)
{
    const float logits[] = {2, 0.3f, 0, 0, 3, 0, /* view 1: */ 1, 0, 0, 0, 0.7f, 5}, others[] = {0, 0.1f, 4, 1, 0, 0, 0, 0, 2, 1, 6, 0.2f};
    const int32_t label[] = {0, -1};
    const tw_loss_terms t = {0.1, NAN, 1.0 / 3, 4};
    tw_learner l = {.notes = NULL};
    tw_watch w = {-0.7, true}, again = TW_WATCH_NEW;
    tw_epoch_summary want, got;
    char notes[TW_KEEP_NOTES];
    tw_monitor *m = tw_monitor_new(2, 3, tw_comm_single()), *other = tw_monitor_new(2, 3, tw_comm_single());
    CHECK(tw_keep(&l, notes, m, &w) == 0 && l.extra.name == NULL);
    CHECK(keep_and_read(other, &again, l.notes, &l.extra) == 0 && again.self_label && tw_monitor_so_far(other)->steps == 0);
    CHECK_NEAR(again.least, -0.7, 0);
    CHECK(tw_monitor_step(m, &t, 2, logits, logits, label) == 0 && tw_monitor_step(m, &t, 2, others, logits, label) == 0);
    CHECK(tw_keep(&l, notes, m, &w) == 0 && keep_and_read(other, &again, l.notes, &l.extra) == 0);
    const char *const damaged[] = {"", "best", "best 1 0, epoch 1 1 0 0 0 0 0 0 0", "best 1 0, epoch 1 1 0 0 0 0 0 0 0 0 and more",
                                   "best 1 0, epoch 0 1 0 0 0 0 0 0 0 0"};
    tw_monitor *none = tw_monitor_new(2, 3, tw_comm_single());
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        CHECK(keep_and_read(none, &again, damaged[i], &l.extra) != 0 && strstr(tw_error(), "notes") != NULL);
    const int32_t beyond[][2] = {{0, 0}, {3, 0}};
    const tw_named_tensor far = {"epoch.samples", {.dtype = TW_I32, .rank = 2, .dim = {2, 2}, .data = beyond}};
    const tw_named_tensor flat = {"epoch.samples", {.dtype = TW_I32, .rank = 1, .dim = {4}, .data = beyond}};
    CHECK(keep_and_read(none, &again, notes, &far) != 0 && strstr(tw_error(), "class 3 of 3") != NULL);
    CHECK(keep_and_read(none, &again, notes, &flat) != 0 && strstr(tw_error(), "shape") != NULL);
    CHECK(tw_monitor_step(m, &t, 2, logits, logits, label) == 0 && tw_monitor_step(other, &t, 2, logits, logits, label) == 0);
    CHECK(tw_monitor_epoch(&want, m) == 0 && tw_monitor_epoch(&got, other) == 0);
    CHECK(memcmp(&want, &got, sizeof got) == 0 && got.steps == 3);
    tw_monitor_free(m), tw_monitor_free(other), tw_monitor_free(none);
}

/* Each sign by itself, against an epoch that has none. */
static void watch(void)
{
    const tw_epoch_summary sound = {.steps = 10, .mean = {-2, 0.1, 1, 3.1}, .classes = 30, .column_std = 1};
    const double log_K = log(32);
    char text[160];
    tw_watch w = TW_WATCH_NEW;
    tw_epoch_summary e = sound;
#define SAYS(word) CHECK(tw_watch_epoch(text, sizeof text, &w, &e, 320, 32, false) != NULL && strstr(text, word) != NULL)
    CHECK(tw_watch_epoch(text, sizeof text, &w, &e, 320, 32, false) == NULL);
    e.mean.loss = -2 + 0.24 * log_K;
    CHECK(tw_watch_epoch(text, sizeof text, &w, &e, 320, 32, false) == NULL);
    e.mean.loss = -2 + 0.26 * log_K;
    SAYS("divergence");
    e = sound, e.column_std = 0.09;
    SAYS("same logits");
    e = sound, e.classes = 1;
    SAYS("1 of 32");
    e = sound, e.mean.he = 0.04 * log_K;
    SAYS("mean answer");
    e = sound, e.mean.eh = 0.995 * log_K;
    SAYS("uniform");
    e = sound, e.classes = 10; /* fewer than 1 % of 1000 samples' worth of 4096 classes */
    CHECK(strstr(tw_watch_epoch(text, sizeof text, &w, &e, 1000, 4096, false), "10 of 1000") != NULL);
    e = sound, e.mean = (tw_loss_terms){5, NAN, NAN, NAN}; /* another loss, another best */
    CHECK(tw_watch_epoch(text, sizeof text, &w, &e, 320, 32, true) == NULL);
#undef SAYS
}

/* A log goes on behind the step of the checkpoint; later lines and one that was cut are removed. */
static void log_lines(void)
{
    char path[] = "/tmp/twist-log-XXXXXX", text[256];
    const int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    fputs("{\"step\":1,\"loss\":3}\n{\"end_of_epoch\":0}\n{\"step\":2}\n{\"end_of_epoch\":1,\"after_step\":2}\n{\"step\":3}\n{\"end_of_epoch\":2,\"after_step\":3}\n{\"ste", f);
    fclose(f);
    tw_jsonl *l = tw_jsonl_open(path, 2, INT64_MAX);
    CHECK(l != NULL);
    tw_jsonl_begin(l);
    tw_jsonl_int(l, "step", 3);
    tw_jsonl_number(l, "loss", NAN);
    tw_jsonl_string(l, "note", "a\"b");
    CHECK(tw_jsonl_end(l) == 0 && tw_jsonl_close(l) == 0);
    f = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    CHECK(strcmp(text, "{\"step\":1,\"loss\":3}\n{\"end_of_epoch\":0}\n{\"step\":2}\n{\"end_of_epoch\":1,\"after_step\":2}\n{\"step\":3,\"loss\":null,\"note\":\"a\\\"b\"}\n") == 0);
    unlink(path);
}

/* The bunch that is taken where none is given. */
static void bunches(void)
{
    static const int of[][3] = { /* batch, ranks, bunch */
        {64, 1, 256}, {128, 2, 256}, {128, 3, 128}, {64, 6, 192}, {100, 4, 200}, {85, 6, 255}, {86, 3, 86}, {512, 1, 256}, {300, 2, 300},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int again = 0; again < 2; again++) {
            tw_train_options o;
            tw_train_defaults(&o);
            o.device = TW_DEVICE_CPU;
            o.batch_size = of[i][0];
            o.bunch_size = again ? of[i][2] : o.bunch_size;
            tw_learner_bunch(&o, of[i][1]);
            CHECK(o.bunch_size == of[i][2]);
        }
}

int main(void)
{
    losses();
    no_labels();
    schedules();
    monitor();
    keep();
    watch();
    log_lines();
    bunches();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        three_steps(&cases[i]);
    not_finite();
    return test_done();
}
