/* Goal: the linear classifier takes PyTorch's steps (tests/golden/eval/make.py), with the same bits for any number of threads. */
#include "test.h"

#include "core/philox.h"
#include "eval/linear.h"

enum { N = 30, D = 10, C = 5, EPOCHS = 8 };

static void read_floats(FILE *f, float *x, int n)
{
    for (int i = 0; i < n; i++)
        if (fscanf(f, "%f", &x[i]) != 1)
            CHECK(!"a number");
}

static void read_ints(FILE *f, int32_t *x, int n)
{
    for (int i = 0; i < n; i++)
        if (fscanf(f, "%d", &x[i]) != 1)
            CHECK(!"a label");
}

static void golden(void)
{
    static float x[N * D], w[C * D], want_w[C * D], want_b[C], loss[EPOCHS], batch[N * D];
    static int32_t y[N], order[EPOCHS * N], labels[N];
    int n, d, c, epochs, size, first;
    double lr, decay;
    FILE *f = fopen("tests/golden/eval/linear.txt", "r");
    CHECK(f != NULL && fscanf(f, "%d %d %d %d %d %lf %lf", &n, &d, &c, &epochs, &size, &lr, &decay) == 7);
    CHECK(n == N && d == D && c == C && epochs == EPOCHS);
    if (f == NULL || n != N || d != D || c != C || epochs != EPOCHS)
        return;
    read_ints(f, y, N);
    read_ints(f, order, EPOCHS * N);
    read_floats(f, x, N * D);
    read_floats(f, w, C * D);
    read_floats(f, want_w, C * D);
    read_floats(f, want_b, C);
    read_floats(f, loss, EPOCHS);
    CHECK(fscanf(f, "%d", &first) == 1);
    fclose(f);
    tw_blocks *threads = tw_blocks_new(2);
    tw_linear *l = tw_linear_new(C, D, size, 0.9, decay, threads);
    memcpy(tw_linear_weight(l), w, sizeof w);
    for (int e = 0; e < EPOCHS; e++) {
        const double rate = lr * 0.5 * (1 + cos(acos(-1) * e / EPOCHS));
        double sum = 0;
        for (int at = 0, m; at < N; at += m) {
            m = size < N - at ? size : N - at;
            for (int i = 0; i < m; i++) {
                memcpy(batch + i * D, x + order[e * N + at + i] * D, D * sizeof *x);
                labels[i] = y[order[e * N + at + i]];
            }
            sum += tw_linear_step(l, batch, labels, m, rate);
        }
        CHECK_NEAR(sum / N, loss[e], 2e-6); /* f32 sums in another order, up to 32 steps */
    }
    for (int i = 0; i < C * D; i++)
        CHECK_NEAR(tw_linear_weight(l)[i], want_w[i], 2e-6);
    for (int i = 0; i < C; i++)
        CHECK_NEAR(tw_linear_bias(l)[i], want_b[i], 2e-6);
    int64_t hits[2] = {0};
    CHECK(tw_linear_count(hits, l, x, y, N) == 0 && hits[0] == first && hits[1] == N); /* five classes: the label is among five */
    tw_linear_free(l);
    tw_blocks_free(threads);
}

/* One step on a shape that takes several jobs each way, against the same in double. */
static void large(void)
{
    enum { n = 101, c = 70, d = 1100 };
    static float x[n * d], first[c * d];
    static double g[c * d];
    static int32_t y[n];
    tw_rng r;
    tw_rng_init(&r, 9, TW_USE_KMEANS, 0, 0, 0);
    for (int i = 0; i < n * d; i++)
        x[i] = (float)tw_rng_normal(&r);
    for (int i = 0; i < n; i++)
        y[i] = (int32_t)tw_rng_below(&r, c);
    double loss = 0;
    for (int run = 0; run < 2; run++) {
        tw_blocks *threads = tw_blocks_new(run == 0 ? 1 : 5);
        tw_linear *l = tw_linear_new(c, d, n, 0.9, 0, threads);
        float *w = tw_linear_weight(l);
        tw_linear_init(l, 1);
        if (run == 0) {
            memcpy(first, w, sizeof first);
            for (int i = 0; i < n; i++) {
                double z[c], sum = 0;
                for (int k = 0; k < c; k++) {
                    z[k] = 0;
                    for (int j = 0; j < d; j++)
                        z[k] += (double)x[i * d + j] * w[k * d + j];
                    sum += exp(z[k]);
                }
                loss += log(sum) - z[y[i]];
                for (int k = 0; k < c; k++)
                    for (int j = 0; j < d; j++)
                        g[k * d + j] += (exp(z[k]) / sum - (k == y[i])) / n * x[i * d + j];
            }
        }
        CHECK_NEAR(tw_linear_step(l, x, y, n, 1), loss, 1e-5 * loss);
        double error = 0, size = 0;
        for (int i = 0; i < c * d && run == 0; i++) {
            error += pow(first[i] - g[i] - w[i], 2);
            size += g[i] * g[i];
        }
        CHECK(run > 0 || error < 1e-10 * size); /* 1e-5 of the update's length */
        tw_linear_step(l, x, y, n, 1);
        if (run == 0)
            memcpy(first, w, sizeof first);
        CHECK(memcmp(first, w, sizeof first) == 0);
        tw_linear_free(l);
        tw_blocks_free(threads);
    }
}

/* The first weights are normal(0, 0.01), the seed's; a loss that overflows says so and leaves no false hits. */
static void edges(void)
{
    enum { c = 100, d = 100 };
    static float x[2 * d], again[c * d];
    tw_blocks *threads = tw_blocks_new(1);
    tw_linear *l = tw_linear_new(c, d, 2, 0.9, 0, threads);
    float *w = tw_linear_weight(l);
    double sum = 0, square = 0;
    tw_linear_init(l, 7);
    memcpy(again, w, sizeof again);
    for (int i = 0; i < c * d; i++) {
        sum += w[i];
        square += w[i] * w[i];
    }
    CHECK_NEAR(sum / (c * d), 0, 5e-4);            /* five deviations of the mean of 10,000 */
    CHECK_NEAR(sqrt(square / (c * d)), 0.01, 4e-4); /* and of their deviation */
    tw_linear_init(l, 8);
    CHECK(memcmp(again, w, sizeof again) != 0);
    tw_linear_init(l, 7);
    CHECK(memcmp(again, w, sizeof again) == 0);
    for (int i = 0; i < 2 * d; i++)
        x[i] = i % d == 0 ? 3e38f : 0;
    w[0] = 10;
    const int32_t y[] = {0, 1};
    CHECK(isnan(tw_linear_step(l, x, y, 2, 0.1)));
    w[0] = NAN;
    int64_t hits[2] = {0};
    x[0] = 1;
    CHECK(tw_linear_count(hits, l, x, y, 1) == 0 && hits[0] == 0 && hits[1] == 0);
    tw_linear_free(l);
    tw_blocks_free(threads);
}

int main(void)
{
    golden();
    large();
    edges();
    return test_done();
}
