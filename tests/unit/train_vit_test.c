/* Goal: three steps of vision transformers (stochastic depth, clipping, a weight decay schedule, AdamW and LARS) and of a ResNet twice
 * as wide are PyTorch's (tests/golden/train_nets/make.py, f64), to 1 % of the size of the update. With a teacher and in self-labeling:
 * train_test. */
#include "test.h"

#include "core/mem.h"
#include "formula.h"
#include "train/step.h"

enum { PROJECTIONS = 8, BATCH = 6 };

typedef struct {
    const char *file;
    tw_net_config net;
    tw_optim_kind optim;
    int n_groups;
    tw_view_group group[2];
    double lr[3], weight_decay[3], clip;
} three;

#define HEAD .head = true, .hid_dim = 128, .dim = 12, .precision = TW_F32, .blank = true, .threads = 2

static const three cases[] = {
    {"vit_t-drop", {.backbone = "vit_t", .act = "gelu", .drop_path = 0.3, .seed = 9, HEAD}, TW_ADAMW, 2, {{2, 48, 48}, {2, 32, 32}},
     {1e-4, 2e-4, 1.5e-4}, {0.04, 0.07, 0.12}, 1},
    {"vit_s", {.backbone = "vit_s", .act = "gelu", .patch_size = 8, .pos_grid = 4, HEAD}, TW_ADAMW, 1, {{2, 32, 32}},
     {1e-4, 2e-4, 1.5e-4}, {0.04, 0.07, 0.12}, 1},
    {"vit_t-lars", {.backbone = "vit_t", .act = "gelu", HEAD}, TW_LARS, 1, {{2, 32, 32}}, {0.2, 0.3, 0.25}, {1e-4, 1e-4, 1e-4},
     0},
    {"resnet50w2", {.backbone = "resnet50w2", .act = "relu", HEAD}, TW_LARS, 1, {{2, 32, 32}}, {0.2, 0.3, 0.25},
     {1.5e-6, 1.5e-6, 1.5e-6}, 0},
};

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

/* What tensor number i starts with: by formula; shifts of a ResNet's norms are 3 more. */
static void first_values(float *v, const tw_param *p, int i, bool resnet)
{
    const formula_kind kind = formula_kind_of(p);
    const bool linear = ends(p->name, "last_linear.bias") || ends(p->name, "head.0.bias") || ends(p->name, "head.4.bias");
    const float shift = resnet && ends(p->name, ".bias") && !linear ? 3 : 0;
    for (size_t k = 0; k < p->n; k++)
        v[k] = (float)formula_of(kind, p, formula_uniform(k, (uint64_t)i)) + shift;
}

/* Pictures of step t: noise on tiles of 8 x 8. */
static void draw(uint8_t **pictures, const three *c, int t)
{
    for (int i = 0; i < c->n_groups; i++) {
        const tw_view_group *g = &c->group[i];
        const uint64_t number = (uint64_t)(2000 + 10 * t + i), row = (uint64_t)(3 * g->W), tiles = (uint64_t)(3 * (g->W / 8));
        for (uint64_t k = 0; k < (uint64_t)(g->n_views * BATCH * g->H) * row; k++) {
            const uint64_t y = k / row, x = k % row / 3, tile = y / 8 * tiles + x / 8 * 3 + k % 3; /* heights are multiples of 8 */
            pictures[i][k] = (uint8_t)floor(256 * (0.7 * formula_uniform(tile, number + 500) + 0.3 * formula_uniform(k, number)));
        }
    }
}

/* How far a network's changes are from the file's, by their size: sums of squares. */
typedef struct {
    double off, size;
} distance;

static void compare(distance *d, tw_net *net, const char *name, const double *want, bool resnet)
{
    int i = 0;
    while (i < tw_net_params(net) && strcmp(tw_net_param(net, i)->name, name) != 0)
        i++;
    CHECK(i < tw_net_params(net));
    if (i == tw_net_params(net))
        return;
    const tw_param *p = tw_net_param(net, i);
    float *first = tw_calloc(p->n, sizeof *first);
    double projection[PROJECTIONS] = {0};
    first_values(first, p, i, resnet);
    for (size_t k = 0; k < p->n; k++) {
        const double change = (double)((const float *)p->value)[k] - (double)first[k];
        for (uint64_t j = 0; j < PROJECTIONS; j++)
            projection[j] += formula_uniform(k, 5000 + j) < 0.5 ? -change : change;
    }
    for (int j = 0; j < PROJECTIONS; j++)
        d->off += (projection[j] - want[1 + j]) * (projection[j] - want[1 + j]) / PROJECTIONS;
    d->size += want[0] * want[0];
    free(first);
}

static void run(tw_step *step, const three *c, double *losses, double *norms)
{
    uint8_t *pictures[2] = {NULL, NULL};
    for (int i = 0; i < c->n_groups; i++)
        pictures[i] = tw_calloc((size_t)(c->group[i].n_views * BATCH * c->group[i].H * c->group[i].W * 3), 1);
    for (int t = 0; t < 3; t++) {
        const tw_step_inputs p = {.lr = c->lr[t], .weight_decay = c->weight_decay[t], .number = t};
        tw_step_result r;
        draw(pictures, c, t);
        CHECK(tw_step_run(step, &r, pictures, &p) == 1);
        losses[t] = r.terms.loss;
        norms[t] = r.gradient_norm;
    }
    free(pictures[0]);
    free(pictures[1]);
}

static void check(const three *c, tw_net *net, const double *losses, const double *norms)
{
    char path[96], kind[16], name[96];
    double v[16];
    distance d = {0, 0};
    const bool resnet = strncmp(c->file, "resnet", 6) == 0;
    snprintf(path, sizeof path, "tests/golden/train_nets/%s.txt", c->file);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL && golden_line(f, kind, name, v) == 3);
    if (f == NULL)
        return;
    for (int t = 0; t < 3; t++)
        CHECK_NEAR(losses[t], v[t], 2e-3);
    CHECK(golden_line(f, kind, name, v) == 3);
    for (int t = 0; t < 3; t++)
        CHECK_NEAR(norms[t] / v[t], 1, 5e-3);
    while (golden_line(f, kind, name, v) == 1 + PROJECTIONS)
        compare(&d, net, name, v, resnet);
    printf("%s: weights are off by %.2g of the update\n", c->file, sqrt(d.off / d.size));
    CHECK(d.size > 0 && sqrt(d.off / d.size) < 0.01);
    fclose(f);
}

static void three_steps(const three *c)
{
    double losses[3] = {0}, norms[3] = {0};
    tw_net *net = tw_net_new("cpu", &c->net);
    CHECK(net != NULL);
    if (net == NULL)
        return;
    for (int i = 0; i < tw_net_params(net); i++)
        if (tw_net_param(net, i)->dtype == TW_F32)
            first_values(tw_net_param(net, i)->value, tw_net_param(net, i), i, strncmp(c->file, "resnet", 6) == 0);
    tw_net_changed(net);
    tw_optim *optim = tw_optim_new(net, c->optim, 1);
    const tw_step_options so = {.loss = {0, 1, 1}, .clip_norm = c->clip};
    tw_step *step = tw_step_new(net, NULL, optim, c->group, c->n_groups, BATCH, &so);
    CHECK(optim != NULL && step != NULL);
    if (step != NULL) {
        run(step, c, losses, norms);
        check(c, net, losses, norms);
    }
    tw_step_free(step);
    tw_optim_free(optim);
    tw_net_free(net);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        three_steps(&cases[i]);
    return test_done();
}
