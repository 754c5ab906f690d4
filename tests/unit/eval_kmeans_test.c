/* Goal: k-means is scikit-learn's from the same start (tests/golden/eval/make.py), finds clusters that are there, copes with rows
 * that are equal, and gives the same bits for any number of threads. */
#include "test.h"

#include "core/philox.h"
#include "eval/kmeans.h"
#include "eval/matrix.h"

static void golden(void)
{
    enum { N = 150, D = 5, K = 6 };
    static float x[N * D], start[K * D];
    int n, d, k, wrong = 0;
    double inertia;
    FILE *f = fopen("tests/golden/eval/kmeans.txt", "r");
    CHECK(f != NULL && fscanf(f, "%d %d %d", &n, &d, &k) == 3 && n == N && d == D && k == K);
    if (f == NULL)
        return;
    for (int i = 0; i < N * D + K * D; i++)
        CHECK(fscanf(f, "%f", i < N * D ? &x[i] : &start[i - N * D]) == 1);
    tw_blocks *threads = tw_blocks_new(2);
    tw_kmeans got;
    const tw_kmeans_options o = {.K = K, .iterations = 300};
    CHECK(tw_kmeans_from(&got, start, x, N, D, &o, threads) == 0 && got.converged);
    for (int i = 0, label; i < N; i++)
        wrong += fscanf(f, "%d", &label) != 1 || label != got.cluster[i];
    CHECK(wrong == 0);
    CHECK(fscanf(f, "%lf", &inertia) == 1);
    CHECK_NEAR(got.inertia, inertia, 1e-5 * inertia); /* scikit-learn sums in f32 */
    tw_kmeans_fini(&got);
    tw_blocks_free(threads);
    fclose(f);
}

/* K clouds far apart: every one is found, whatever the number of threads; a sample is drawn for the seeds. */
static void clouds(void)
{
    enum { N = 20000, D = 37, K = 9 };
    static float x[N * D], centre[K * D];
    static int32_t first[N];
    tw_rng r;
    double inertia = 0;
    for (int spherical = 0; spherical < 2; spherical++) {
        tw_rng_init(&r, 1, TW_USE_SHUFFLE, 0, 0, 0);
        for (int i = 0; i < K * D; i++)
            centre[i] = (float)(10 * tw_rng_normal(&r));
        for (int i = 0; i < N; i++)
            for (int d = 0; d < D; d++)
                x[i * D + d] = centre[i % K * D + d] + (float)tw_rng_normal(&r);
        if (spherical)
            tw_unit_rows(x, N, D);
        for (int run = 0; run < 2; run++) {
            tw_blocks *threads = tw_blocks_new(run == 0 ? 1 : 3);
            tw_kmeans got;
            const tw_kmeans_options o = {K, 2, 100, spherical, 5, NULL, 4};
            CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && got.converged);
            int wrong = 0;
            for (int i = 0; i < N; i++)
                wrong += got.cluster[i] != got.cluster[i % K];
            CHECK(wrong == 0);
            if (run == 0) {
                memcpy(first, got.cluster, sizeof first);
                inertia = got.inertia;
                CHECK(spherical || fabs(inertia / ((double)N * D) - 1) < 0.02); /* the clouds' own spread: deviation 1 */
            }
            CHECK(memcmp(first, got.cluster, sizeof first) == 0 && got.inertia == inertia);
            const int32_t *near = got.near;
            wrong = 0;
            for (int i = 0; i < N; i++) {
                double before = -1;
                wrong += near[i * 4] != got.cluster[i];
                for (int k = 0; k < 4; k++) {
                    double s = 0;
                    for (int d = 0; d < D; d++)
                        s += pow(x[i * D + d] - got.centre[near[i * 4 + k] * D + d], 2);
                    wrong += s < before * 0.999;
                    before = s;
                }
            }
            CHECK(wrong == 0);
            for (int k = 0; k < K && spherical; k++)
                CHECK_NEAR(tw_sum_squares(got.centre + k * D, D), 1, 1e-6);
            tw_kmeans_fini(&got);
            tw_blocks_free(threads);
        }
    }
}

static int seeds, assignments;

static void count(const tw_kmeans_options *o, int restart, int iteration, int64_t number)
{
    CHECK(restart >= 0 && restart < o->restarts);
    if (iteration < 0)
        CHECK(number == ++seeds - restart * o->K);
    else
        assignments++;
}

static void edges(void)
{
    enum { N = 50, D = 3 };
    static float x[N * D];
    tw_blocks *threads = tw_blocks_new(2);
    tw_kmeans got;
    tw_kmeans_options o = {N + 1, 1, 100, false, 0, NULL, 0};
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == -1 && strstr(tw_error(), "51 clusters of 50 rows") != NULL);
    o.K = 5; /* all rows equal: it ends, and nothing is far from its centre */
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && got.converged && got.inertia == 0);
    tw_kmeans_fini(&got);
    for (int i = 0; i < N * D; i++)
        x[i] = (float)(i / D % 3); /* three kinds */
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && got.converged);
    CHECK_NEAR(got.inertia, 0, 1e-9);
    CHECK(got.cluster[0] != got.cluster[1] && got.cluster[1] != got.cluster[2] && got.cluster[0] == got.cluster[3]);
    tw_kmeans_fini(&got);
    o.K = N; /* every row its own */
    for (int i = 0; i < N * D; i++)
        x[i] = (float)i;
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && got.inertia == 0);
    CHECK(got.near == NULL);
    tw_kmeans_fini(&got);
    o = (tw_kmeans_options){2, 1, 0, false, 0, NULL, 5}; /* no iterations: nearest to the centres given */
    CHECK(tw_kmeans_from(&got, x, x, N, D, &o, threads) == 0 && got.near[1] == 1 && got.near[2] == -1 && got.near[4] == -1);
    tw_kmeans_fini(&got);
    o.near = TW_KMEANS_NEAR + 1;
    CHECK(tw_kmeans_from(&got, x, x, N, D, &o, threads) == -1 && strstr(tw_error(), "17 nearest centres") != NULL);
    o = (tw_kmeans_options){4, 2, 3, false, 0, count, 0}; /* every seed is told of, and every assignment */
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && seeds == 8 && assignments >= 2 && assignments <= 6);
    tw_kmeans_fini(&got);
    o = (tw_kmeans_options){4, 1, 1, false, 0, NULL, 0};
    CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0 && !got.converged && got.iterations == 1);
    tw_kmeans_fini(&got);
    tw_blocks_free(threads);
}

/* Squared distances beyond f32, and rows that are no numbers: the clusters mean nothing, but they are there. */
static void overflow(void)
{
    enum { N = 40, D = 8, K = 4, NEAR = 3 };
    static float x[N * D];
    tw_blocks *threads = tw_blocks_new(2);
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_SHUFFLE, 0, 0, 0);
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < N * D; i++)
            x[i] = kind == 2 ? NAN : (float)(tw_rng_normal(&r) * (kind == 0 ? 1e19 : 1e30));
        const tw_kmeans_options o = {.K = K, .restarts = 2, .iterations = 20, .near = NEAR};
        tw_kmeans got;
        int wrong = 0;
        CHECK(tw_kmeans_run(&got, x, N, D, &o, threads) == 0);
        for (int i = 0; i < N; i++) {
            wrong += got.cluster[i] < 0 || got.cluster[i] >= K || got.near[i * NEAR] < 0;
            for (int m = 0; m < NEAR; m++)
                wrong += got.near[i * NEAR + m] >= K;
        }
        CHECK(wrong == 0);
        tw_kmeans_fini(&got);
    }
    tw_blocks_free(threads);
}

int main(void)
{
    golden();
    clouds();
    edges();
    overflow();
    return test_done();
}
