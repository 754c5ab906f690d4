/* Goal: what is drawn for views has torchvision's distributions (10,000 draws of each), depends on seed, index, epoch and view
 * number only, and the policies are those of the method. */
#include "image/policy.h"

#include "test.h"

enum { N = 10000 };
/* Kolmogorov and Smirnov's distance between 10,000 draws and their distribution exceeds this once in a million times. The
 * draws are the same in every run, so this either always passes or never. */
#define TOO_FAR (2.7 / 100)

static const tw_policy_options defaults = {.locals = -1, .filter = -1, .min1 = -1, .max1 = -1, .min2 = -1, .max2 = -1, .blur_p = -1,
                                           .solarize_p = -1, .jitter_p = -1, .grey_p = -1, .late_epoch = 800};

static tw_policy policy(tw_policy_name name)
{
    tw_policy p;
    tw_policy_options o = defaults;
    o.name = name;
    CHECK(tw_policy_init(&p, &o) == 0);
    return p;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The distance between n draws (sorted here) and the uniform distribution. */
static double from_uniform(double *x, int n, double low, double high)
{
    double worst = 0;
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int i = 0; i < n; i++) {
        const double at = (x[i] - low) / (high - low);
        const double apart = fmax(fabs(at - (double)i / n), fabs(at - (i + 1.0) / n));
        worst = apart > worst ? apart : worst;
    }
    return worst;
}

/* How far the draws (sorted here) are from the 99 percentiles: the share below each, which for values that come often lies
 * between the share below and the share up to it. */
static double from_percentiles(double *x, const double *percentile)
{
    double worst = 0;
    qsort(x, N, sizeof *x, ascending);
    for (int p = 0; p < 99; p++) {
        const double slack = 1e-5 * fabs(percentile[p]); /* they are written with six digits */
        int below = 0, up_to = 0;
        for (int i = 0; i < N; i++) {
            below += x[i] < percentile[p] - slack;
            up_to += x[i] <= percentile[p] + slack;
        }
        const double want = (p + 1) / 100.0, low = (double)below / N, high = (double)up_to / N;
        worst = fmax(worst, want < low ? low - want : want > high ? want - high : 0);
    }
    return worst;
}

static void crops(void)
{
    FILE *f = fopen("tests/golden/augment/crops.txt", "r");
    static double x[4][N];
    double low, high, percentile[4 * 99];
    int w, h, lines = 0;
    CHECK(f != NULL);
    for (; f != NULL && fscanf(f, "%d %d %lf %lf", &w, &h, &low, &high) == 4; lines++) {
        tw_policy p = policy(TW_LINEAR);
        p.kind[0].scale[0] = low;
        p.kind[0].scale[1] = high;
        for (int i = 0; i < 4 * 99; i++)
            CHECK(fscanf(f, "%lf", &percentile[i]) == 1);
        for (int i = 0; i < N; i++) {
            tw_view v;
            tw_view_draw(&v, &p, 0, w, h, 5, i, 0);
            const tw_area c = v.crop;
            CHECK(c.top >= 0 && c.left >= 0 && c.height > 0 && c.width > 0 && c.top + c.height <= h && c.left + c.width <= w);
            x[0][i] = (double)c.height * c.width / (w * h);
            x[1][i] = log((double)c.width / c.height);
            x[2][i] = (double)c.top / (h - c.height > 1 ? h - c.height : 1);
            x[3][i] = (double)c.left / (w - c.width > 1 ? w - c.width : 1);
        }
        for (int k = 0; k < 4; k++)
            CHECK_NEAR(from_percentiles(x[k], percentile + 99 * k), 0, TOO_FAR);
        tw_policy_fini(&p);
    }
    CHECK(lines >= 6);
    if (f != NULL)
        fclose(f);
}

/* A share of n draws is within 5 deviations of its probability. */
static void check_share(int count, int n, double p)
{
    CHECK_NEAR((double)count / n, p, 5 * sqrt(p * (1 - p) / n) + 1e-12);
}

/* ColorJitter's factors are uniform, its 24 orders equally frequent. */
static void jitter(const tw_policy *p, int view)
{
    static double value[4][N];
    static tw_view v;
    const tw_view_kind *k = &p->kind[view];
    int n = 0, order[256] = {0}, flips = 0, greys = 0, blurs = 0, solarized = 0;
    static double sigma[N];
    for (int i = 0; i < N; i++) {
        tw_view_draw(&v, p, view, 500, 375, 1, i, 0);
        flips += v.flip;
        greys += v.grey;
        solarized += v.solarize;
        if (v.sigma > 0)
            sigma[blurs++] = v.sigma;
        if (v.n_steps == 0)
            continue;
        int code = 0;
        for (int s = 0; s < v.n_steps; s++) {
            value[v.step[s].kind][n] = v.step[s].value;
            code = 4 * code + (int)v.step[s].kind;
        }
        CHECK(v.n_steps == 4);
        order[code]++;
        n++;
    }
    check_share(flips, N, k->flip_p);
    check_share(greys, N, k->grey_p);
    check_share(solarized, N, k->solarize_p);
    check_share(blurs, N, k->blur_p);
    check_share(n, N, k->jitter_p);
    for (int s = 0; s < 4 && n > 0; s++)
        CHECK_NEAR(from_uniform(value[s], n, (s == TW_HUE ? 0 : 1) - k->jitter[s], (s == TW_HUE ? 0 : 1) + k->jitter[s]), 0,
                   2.7 / sqrt(n));
    int orders = 0;
    for (int c = 0; c < 256 && n > 0; c++)
        if (order[c] > 0) {
            orders++;
            check_share(order[c], n, 1.0 / 24);
        }
    CHECK(orders == (n > 0 ? 24 : 0));
    if (blurs > 100)
        CHECK_NEAR(from_uniform(sigma, blurs, k->sigma[0], k->sigma[1]), 0, 2.7 / sqrt(blurs));
}

/* The chance of a level below x: normal(9, 0.5), cut at 10. */
static double level_cdf(double x)
{
    return x >= 10 ? 1 : 0.5 * erfc(-(x - 9) / 0.5 / sqrt(2));
}

/* RandAugment: two of fifteen operations, each applied half of the time; levels and directions. */
static void layers(void)
{
    tw_policy p = policy(TW_RAND);
    static tw_view v;
    int count[TW_STEP_KINDS] = {0}, pairs = 0, turned = 0, levels = 0, erased = 0;
    static double level[N], area[N], shape[N];
    for (int i = 0; i < N; i++) {
        tw_view_draw(&v, &p, 1, 500, 375, 3, i, 0);
        pairs += v.n_steps == 2;
        for (int s = 0; s < v.n_steps; s++) {
            const double x = v.step[s].value;
            count[v.step[s].kind]++;
            switch (v.step[s].kind) {
            case TW_ROTATE:
            case TW_SHEAR_X:
            case TW_SHEAR_Y:
            case TW_TRANSLATE_X:
            case TW_TRANSLATE_Y:
                turned += x < 0;
                level[levels++] = fabs(x) * 10 / (v.step[s].kind == TW_ROTATE ? 30 : v.step[s].kind < TW_TRANSLATE_X ? 0.3 : 0.45);
                break;
            case TW_POSTERIZE:
                CHECK(x == 0 || x == 1 || x == 2);
                break;
            case TW_SOLARIZE:
                CHECK(x >= 0 && x < 90 && x == floor(x));
                break;
            case TW_SOLARIZE_ADD:
                CHECK(x >= 70 && x <= 110 && x == floor(x));
                break;
            case TW_HUE:
                CHECK(!"hue is none of them");
                break;
            default:
                CHECK(x == 0 || (x >= 0.1 && x <= 1.9));
            }
        }
        if (v.erased.height > 0) {
            const tw_area e = v.erased;
            CHECK(e.top >= 0 && e.left >= 0 && e.top + e.height <= 224 && e.left + e.width <= 224);
            area[erased] = (double)e.height * e.width / (224 * 224);
            shape[erased++] = log((double)e.height / e.width);
        }
    }
    check_share(pairs, N, 0.25);
    for (int k = 0; k < TW_STEP_KINDS; k++)
        check_share(count[k], 2 * N, k == TW_HUE ? 0 : 1.0 / 30);
    check_share(turned, levels, 0.5);
    double worst = 0;
    qsort(level, (size_t)levels, sizeof *level, ascending);
    for (int i = 0; i < levels; i++)
        if (level[i] < 10 - 1e-9)
            worst = fmax(worst, fabs(level_cdf(level[i]) - (i + 0.5) / levels));
    CHECK_NEAR(worst, 0, 2.7 / sqrt(levels));
    /* of the ten tries some are as wide as the view: the areas and shapes of those that are not */
    check_share(erased, N, 0.25);
    CHECK_NEAR(from_uniform(area, erased, 0.02, 1.0 / 3), 0, 0.06);
    CHECK_NEAR(from_uniform(shape, erased, log(0.3), log(1 / 0.3)), 0, 0.06);
    tw_policy_fini(&p);
}

static void check_kind(const tw_view_kind *k, int size, double low, double high, double blur_p, double solarize_p)
{
    CHECK(k->size == size && k->scale[0] == low && k->scale[1] == high && k->blur_p == blur_p && k->solarize_p == solarize_p);
}

static void policies(void)
{
    tw_policy p = policy(TW_BARLOW);
    CHECK(p.n == 2 && p.kind[0].filter == TW_BICUBIC && p.kind[0].jitter_p == 0.8 && p.kind[0].grey_p == 0.2);
    check_kind(&p.kind[0], 224, 0.08, 1, 1, 0);
    check_kind(&p.kind[1], 224, 0.08, 1, 0.1, 0.2);
    jitter(&p, 0);
    jitter(&p, 1);
    tw_policy_fini(&p);
    p = policy(TW_MULTICROP);
    CHECK(p.n == 14 && p.kind[2].late_scale[1] == 0.14 && p.kind[1].late_scale[0] == 0.14);
    check_kind(&p.kind[0], 224, 0.4, 1, 1, 0);
    check_kind(&p.kind[1], 224, 0.4, 1, 0.1, 0.2);
    check_kind(&p.kind[13], 96, 0.05, 0.4, 0.5, 0);
    jitter(&p, 13);
    tw_policy_fini(&p);
    p = policy(TW_MOCO);
    CHECK(p.n == 2 && p.kind[1].jitter[TW_SATURATION] == 0.4);
    check_kind(&p.kind[1], 224, 0.2, 1, 0.5, 0);
    jitter(&p, 0);
    tw_policy_fini(&p);
    p = policy(TW_LINEAR);
    CHECK(p.n == 1 && p.kind[0].filter == TW_BILINEAR && p.kind[0].jitter_p == 0 && p.kind[0].grey_p == 0);
    jitter(&p, 0);
    tw_policy_fini(&p);
}

static void overrides(void)
{
    tw_policy p;
    tw_policy_options o = defaults;
    o.name = TW_MULTICROP;
    o.size = 64;
    o.local_size = 32;
    o.locals = 3;
    o.min1 = 0.3;
    o.max2 = 0.2;
    o.blur_p = 0;
    o.grey_p = 1;
    o.filter = TW_BILINEAR;
    CHECK(tw_policy_init(&p, &o) == 0 && p.n == 5);
    check_kind(&p.kind[1], 64, 0.3, 1, 0, 0.2);
    check_kind(&p.kind[4], 32, 0.05, 0.2, 0, 0);
    CHECK(p.kind[0].late_scale[0] == 0.14 && p.kind[4].grey_p == 1 && p.kind[4].filter == TW_BILINEAR);
    tw_policy_fini(&p);
    o.min2 = 0.5;
    CHECK(tw_policy_init(&p, &o) == -1);
    o = defaults;
    o.name = TW_EVAL;
    CHECK(tw_policy_init(&p, &o) == 0 && p.kind[0].resize == 256);
    tw_policy_fini(&p);
}

static bool same(const tw_view *a, const tw_view *b)
{
    return memcmp(&a->crop, &b->crop, sizeof a->crop) == 0 && a->sigma == b->sigma;
}

static void counters(void)
{
    tw_policy p = policy(TW_MULTICROP);
    tw_view a, b;
    tw_view_draw(&a, &p, 2, 500, 375, 1, 7, 3);
    tw_view_draw(&b, &p, 2, 500, 375, 1, 7, 3);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    tw_view_draw(&b, &p, 3, 500, 375, 1, 7, 3);
    CHECK(!same(&a, &b));
    tw_view_draw(&b, &p, 2, 500, 375, 2, 7, 3);
    CHECK(!same(&a, &b));
    tw_view_draw(&b, &p, 2, 500, 375, 1, 8, 3);
    CHECK(!same(&a, &b));
    tw_view_draw(&b, &p, 2, 500, 375, 1, 7, 4);
    CHECK(!same(&a, &b));
    for (int i = 0; i < 100; i++) { /* harder crops from late_epoch on */
        tw_view_draw(&a, &p, 5, 500, 500, 1, i, 799);
        tw_view_draw(&b, &p, 5, 500, 500, 1, i, 800);
        CHECK(b.crop.width * b.crop.height <= 250000 * 0.14 * 1.02);
    }
    tw_policy_fini(&p);
}

int main(void)
{
    crops();
    policies();
    layers();
    overrides();
    counters();
    return test_done();
}
