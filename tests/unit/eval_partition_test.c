/* Goal: the agreement of two labelings and the one-to-one assignment are scikit-learn's and SciPy's (tests/golden/eval/make.py). */
#include "test.h"

#include "core/philox.h"
#include "eval/assignment.h"
#include "eval/partition.h"
#include "formula.h"

static FILE *golden(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/eval/%s", name);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        printf("%s: missing\n0 passed, 1 failed\n", path);
        exit(1);
    }
    return f;
}

static void partitions(void)
{
    FILE *f = golden("partition.txt");
    size_t n;
    int cases = 0;
    for (; fscanf(f, "%zu", &n) == 1; cases++) {
        int32_t *x = malloc(2 * n * sizeof *x), *y = x + n;
        double want[5];
        for (size_t i = 0; i < 2 * n; i++)
            if (fscanf(f, "%d", &x[i]) != 1)
                CHECK(!"a label");
        CHECK(fscanf(f, "%lf %lf %lf %lf %lf", &want[0], &want[1], &want[2], &want[3], &want[4]) == 5);
        tw_agreement got;
        CHECK(tw_agree(&got, x, y, n) == 0);
        /* sums of up to 2000 terms in another order; the expectation in AMI by another route */
        CHECK_NEAR(got.nmi, want[0], 1e-12);
        CHECK_NEAR(got.ami, want[1], 1e-9);
        CHECK_NEAR(got.ari, want[2], 1e-12);
        CHECK_NEAR(got.fmi, want[3], 1e-12);
        CHECK_NEAR(got.purity, want[4], 1e-12);
        /* names of the labels do not matter, near together or far apart; nor does the order of the two, but for purity */
        for (size_t i = 0; i < n; i++)
            x[i] = 2000003 * (x[i] % 1000);
        tw_agreement renamed, turned;
        CHECK(tw_agree(&renamed, x, y, n) == 0 && tw_agree(&turned, y, x, n) == 0);
        CHECK_NEAR(renamed.ami, want[1], 1e-9);
        CHECK_NEAR(turned.ami, want[1], 1e-9);
        CHECK_NEAR(turned.ari, want[2], 1e-12);
        CHECK_NEAR(renamed.purity, want[4], 1e-12);
        free(x);
    }
    CHECK(cases >= 16);
    fclose(f);
}

/* Labels by formula (make.py, large()), K up to 32768, and one cluster, one class, a cluster for every sample. */
static void large(void)
{
    FILE *f = golden("partition-large.txt");
    int cases = 0, n, K, C;
    double keep, want[6];
    for (; fscanf(f, "%d %d %d %lf %lf %lf %lf %lf %lf %lf", &n, &K, &C, &keep, want, want + 1, want + 2, want + 3, want + 4, want + 5) == 10; cases++) {
        int32_t *x = malloc(2 * (size_t)n * sizeof *x), *y = x + n;
        int *to = malloc((size_t)K * sizeof *to);
        for (int i = 0; i < n; i++) {
            y[i] = C == n ? i : (int32_t)(C * formula_uniform((uint64_t)i, 1));
            const int32_t own = K == n ? i : (int32_t)(K * formula_uniform((uint64_t)i, 3));
            x[i] = formula_uniform((uint64_t)i, 2) < keep ? (int32_t)((int64_t)y[i] * 7919 % K) : own;
        }
        tw_agreement got;
        CHECK(tw_agree(&got, x, y, (size_t)n) == 0);
        CHECK_NEAR(got.nmi, want[0], 1e-9); /* the bounds promised; sums of up to a million terms in another order */
        CHECK_NEAR(got.ami, want[1], 1e-7);
        CHECK_NEAR(got.ari, want[2], 1e-9);
        CHECK_NEAR(got.fmi, want[3], 1e-9);
        CHECK_NEAR(got.purity, want[4], 1e-9);
        if ((double)K * C < 1e8) {
            int64_t right = 0;
            CHECK(tw_match_classes(to, x, y, n, K, C) == 0);
            for (int i = 0; i < n; i++)
                right += to[x[i]] == y[i];
            CHECK((double)right == want[5]);
        }
        free(x), free(to);
    }
    CHECK(cases == 12);
    fclose(f);
}

/* As many samples as ImageNet has: sizes do not overflow, and independent labelings score nothing. */
static void many(void)
{
    const size_t n = 1281167;
    int32_t *x = malloc(2 * n * sizeof *x), *y = x + n;
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SHUFFLE, 0, 0, 0);
    for (size_t i = 0; i < n; i++) {
        x[i] = (int32_t)tw_rng_below(&r, 1000);
        y[i] = (int32_t)tw_rng_below(&r, 1000);
    }
    tw_agreement got;
    CHECK(tw_agree(&got, x, y, n) == 0);
    CHECK(fabs(got.ami) < 1e-3 && fabs(got.ari) < 1e-4 && got.nmi > 0.02);
    CHECK(tw_agree(&got, x, x, n) == 0);
    CHECK_NEAR(got.nmi, 1, 1e-12);
    CHECK_NEAR(got.ami, 1, 1e-12);
    CHECK(got.ari == 1 && got.purity == 1);
    free(x);
}

static void assignments(void)
{
    FILE *f = golden("assignment.txt");
    int rows, cols, cases = 0;
    for (; fscanf(f, "%d %d", &rows, &cols) == 2; cases++) {
        double *cost = malloc((size_t)rows * cols * sizeof *cost), want, got = 0;
        int *to = malloc((size_t)rows * sizeof *to), *used = calloc((size_t)cols, sizeof *used), n = 0, twice = 0;
        for (int i = 0; i < rows * cols; i++)
            if (fscanf(f, "%lf", &cost[i]) != 1)
                CHECK(!"a cost");
        CHECK(fscanf(f, "%lf", &want) == 1);
        CHECK(tw_assign(to, cost, rows, cols) == 0);
        for (int i = 0; i < rows; i++) {
            if (to[i] < 0)
                continue;
            got += cost[i * cols + to[i]];
            twice += used[to[i]]++;
            n++;
        }
        CHECK(twice == 0 && n == (rows < cols ? rows : cols));
        CHECK_NEAR(got, want, 1e-12 * rows); /* sums of so many terms near 1 */
        free(cost), free(to), free(used);
    }
    CHECK(cases >= 9);
    fclose(f);
}

static void matches(void)
{
    /* cluster 3 is class 0, cluster 0 is class 1; cluster 2 has only samples of a class that is taken; cluster 1 does not occur */
    const int32_t cluster[] = {3, 3, 3, 0, 0, 2, 7, 0}, label[] = {0, 0, 1, 1, 1, 0, 0, -1};
    int to[5];
    CHECK(tw_match_classes(to, cluster, label, 8, 5, 3) == 0);
    CHECK(to[0] == 1 && to[1] == -1 && to[2] == -1 && to[3] == 0 && to[4] == -1);
    CHECK(tw_match_classes(to, cluster, label, 0, 5, 3) == 0 && to[3] == -1);
}

int main(void)
{
    partitions();
    large();
    many();
    assignments();
    matches();
    return test_done();
}
