/* Goal: neighbours, k-means and the linear classifier on a device are those of the processor's threads: the same where sums are exact, near
 * where they are not. On a GPU, or on the emulation beside this program. */
#include "cuda_test.h"

#include "eval/device.h"
#include "eval/kmeans.h"
#include "eval/knn.h"
#include "eval/linear.h"
#include "eval/matrix.h"

static tw_eval_device device;
static tw_blocks *host, *there; /* threads; threads with the device */
static tw_rng rng;

/* Small whole numbers: their products are exact in any order, and many are equal. */
static float *whole(size_t n, int most)
{
    float *x = tw_alloc64(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((int)tw_rng_below(&rng, (uint64_t)(2 * most + 1)) - most);
    return x;
}

static float *on_device(const float *x, size_t n, size_t room)
{
    float *p = tw_eval_device_copy(&device, x, n, room);
    CHECK(p != NULL);
    return p;
}

/* Several chunks of training rows, the last one short. */
static void neighbours(int nq, int n, int D, int k)
{
    float *x = whole((size_t)(n * D), 3), *query = whole((size_t)(nq * D), 3);
    tw_knn *s[2] = {tw_knn_new(query, nq, D, k, host), tw_knn_new(query, nq, D, k, there)};
    for (int i = 0; i < 2; i++) {
        CHECK(s[i] != NULL);
        for (int first = 0; first < n; first += TW_KNN_CHUNK)
            CHECK(tw_knn_add(s[i], x + first * D, n - first < TW_KNN_CHUNK ? n - first : TW_KNN_CHUNK) == 0);
    }
    CHECK(memcmp(tw_knn_finish(s[0]), tw_knn_finish(s[1]), (size_t)(nq * k) * sizeof(tw_neighbour)) == 0);
    tw_knn_free(s[0]), tw_knn_free(s[1]);
    free(x), free(query);
}

static void nearest_centres(int n, int D, int K, int m, bool spherical)
{
    float *x = whole((size_t)(n * D), 3), *centre = whole((size_t)(K * D), 2);
    const tw_kmeans_options o = {.K = K, .spherical = spherical, .near = m};
    tw_kmeans a, b;
    CHECK(tw_kmeans_from(&a, centre, x, n, D, &o, host) == 0 && tw_kmeans_from(&b, centre, x, n, D, &o, there) == 0);
    CHECK(memcmp(a.near, b.near, (size_t)(n * m) * sizeof *a.near) == 0);
    tw_kmeans_fini(&a), tw_kmeans_fini(&b);
    free(x), free(centre);
}

/* Rows that are near to no centre, as they are no numbers: any will do that there is. */
static void nearest_of_none(int m)
{
    enum { N = 6, D = 3, K = 2 };
    float *x = whole(N * D, 3), *centre = whole(K * D, 2);
    for (int d = 0; d < D; d++)
        x[d] = NAN;
    const tw_kmeans_options o = {.K = K, .near = m};
    tw_kmeans got;
    CHECK(tw_kmeans_from(&got, centre, x, N, D, &o, there) == 0 && got.cluster[0] == 0 && got.inertia != got.inertia);
    CHECK(m == 0 || got.near[0] == 0);
    tw_kmeans_fini(&got);
    free(x), free(centre);
}

/* Clouds that hardly overlap. */
static void clusters(bool spherical)
{
    enum { N = 400, D = 6, K = 5 };
    float *x = whole(N * D, 5), *centre = whole(K * D, 40);
    for (int i = 0; i < N * D; i++)
        x[i] += centre[i / D % K * D + i % D];
    if (spherical)
        tw_unit_rows(x, N, D);
    const tw_kmeans_options o = {.K = K, .restarts = 2, .iterations = 50, .spherical = spherical, .seed = 5};
    tw_kmeans a, b;
    CHECK(tw_kmeans_run(&a, x, N, D, &o, host) == 0 && tw_kmeans_run(&b, x, N, D, &o, there) == 0);
    CHECK(memcmp(a.cluster, b.cluster, N * sizeof *a.cluster) == 0 && a.iterations == b.iterations && a.converged && b.converged);
    CHECK_NEAR(b.inertia / a.inertia, 1, 1e-6);
    tw_kmeans_fini(&a), tw_kmeans_fini(&b);
    free(x), free(centre);
}

static double off(const float *a, const float *b, size_t n)
{
    double worst = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)a[i]));
    }
    return worst / size;
}

static void classifier(int C, int D, int B)
{
    enum { STEPS = 6 };
    const int n = STEPS * B, last = B - 3; /* the last batch is short */
    float *x = whole((size_t)(n * D), 2), *w[2], *gx = on_device(x, (size_t)(n * D), (size_t)(n * D));
    int32_t *y = malloc((size_t)n * sizeof *y);
    for (int i = 0; i < n; i++)
        y[i] = (int32_t)tw_rng_below(&rng, (uint64_t)C);
    tw_linear *l[2] = {tw_linear_new(C, D, B, 0.9, 0.01, host), tw_linear_new(C, D, B, 0.9, 0.01, there)};
    int64_t hits[2][2] = {{0}};
    for (int i = 0; i < 2; i++) {
        CHECK(l[i] != NULL);
        tw_linear_init(l[i], 7);
    }
    for (int s = 0; s < STEPS; s++) {
        const int rows = s == STEPS - 1 ? last : B;
        const double a = tw_linear_step(l[0], x + s * B * D, y + s * B, rows, 0.1), b = tw_linear_step(l[1], gx + s * B * D, y + s * B, rows, 0.1);
        CHECK_NEAR(b / a, 1, 1e-5);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(tw_linear_fetch(l[i]) == 0);
        w[i] = tw_linear_weight(l[i]);
    }
    CHECK(off(w[0], w[1], (size_t)(C * D)) < 1e-5 && off(tw_linear_bias(l[0]), tw_linear_bias(l[1]), (size_t)C) < 1e-5);
    CHECK(tw_linear_count(hits[0], l[0], x, y, n - 5) == 0 && tw_linear_count(hits[1], l[1], gx, y, n - 5) == 0);
    CHECK(hits[0][0] == hits[1][0] && hits[0][1] == hits[1][1] && hits[0][1] >= hits[0][0] && hits[0][0] > 0);
    const float huge = INFINITY;
    CHECK(device.be->upload(device.dev, gx, &huge, sizeof huge) == 0);
    CHECK(isnan(tw_linear_step(l[1], gx, y, B, 0.1)));
    tw_linear_free(l[0]), tw_linear_free(l[1]);
    tw_eval_device_release(&device, gx);
    free(x), free(y);
}

/* What the programs do not come to. */
static void largest(void)
{
    enum { ROWS = 3, N = 5, M = 4 };
    static const float x[ROWS * N] = {1, NAN, 3, 3, -INFINITY, NAN, NAN, NAN, NAN, 7, INFINITY, 2, INFINITY, -1, 2};
    static const int32_t want[ROWS * M] = {2, 3, 0, 4, 4, -1, -1, -1, 0, 2, 1, 4};
    float *gx = on_device(x, ROWS * N, ROWS * N), *value = on_device(x, ROWS * M, ROWS * M);
    int32_t *place = device.be->alloc(device.dev, ROWS * M * sizeof *place), got[ROWS * M];
    CHECK(device.be->largest(device.dev, value, place, gx, ROWS, N, M) == 0);
    CHECK(device.be->download(device.dev, got, place, sizeof got) == 0 && memcmp(got, want, sizeof got) == 0);
    tw_eval_device_release(&device, gx), tw_eval_device_release(&device, value), tw_eval_device_release(&device, place);
}

static void gathered(void)
{
    enum { N = 6, D = 7, ROWS = 4 };
    static const uint64_t number[ROWS] = {5, 0, 3, 3};
    float *x = whole(N * D, 100), *gx = on_device(x, N * D, N * D), *y = on_device(x, ROWS * D, ROWS * D), got[ROWS * D];
    uint64_t *row = device.be->alloc(device.dev, sizeof number);
    CHECK(device.be->upload(device.dev, row, number, sizeof number) == 0 && device.be->gather_rows(device.dev, y, gx, row, ROWS, D) == 0);
    CHECK(device.be->download(device.dev, got, y, sizeof got) == 0);
    for (int i = 0; i < ROWS; i++)
        CHECK(memcmp(got + i * D, x + number[i] * D, D * sizeof *x) == 0);
    tw_eval_device_release(&device, gx), tw_eval_device_release(&device, y), tw_eval_device_release(&device, row);
    free(x);
}

int main(int argc, char **argv)
{
    test_open(argc, argv);
    const tw_backend *be = tw_backend_open("cuda");
    if (be == NULL || be->devices() < 1)
        test_skip("no libtwist-cuda.so with a device, nor the emulation of one");
    host = tw_blocks_new(2);
    there = tw_blocks_new(2);
    CHECK(host != NULL && there != NULL && tw_eval_device_open(&device, "cuda") == 0 && device.be != NULL);
    tw_blocks_set_device(there, &device);
    CHECK(tw_blocks_device(host) == NULL && tw_blocks_device(there) == &device);
    tw_rng_init(&rng, 11, TW_USE_INIT, 0, 0, 0);
    neighbours(37, 2100, 5, 1);
    neighbours(6, 1030, 12, 40);
    neighbours(3, 20, 4, 30); /* more than there are */
    nearest_centres(350, 6, 300, 1, false);
    nearest_centres(50, 6, 20, 5, true);
    nearest_centres(9, 3, 2, 4, false);
    nearest_of_none(0);
    nearest_of_none(4);
    clusters(false);
    clusters(true);
    classifier(7, 10, 16);
    classifier(3, 300, 8);
    largest();
    gathered();
    tw_blocks_free(host), tw_blocks_free(there);
    tw_eval_device_close(&device);
    tw_eval_device cpu;
    CHECK(tw_eval_device_open(&cpu, "cpu") == 0 && cpu.be == NULL);
    tw_eval_device_close(&cpu);
    return test_done();
}
