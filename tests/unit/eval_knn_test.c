/* Goal: nearest neighbours and their vote are DINO's (tests/golden/eval/make.py), and the same for any threads and chunks. */
#include "test.h"

#include "core/philox.h"
#include "eval/knn.h"
#include "eval/matrix.h"

#include <stdint.h>

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
    FILE *f = fopen("tests/golden/eval/knn.txt", "r");
    int n, nq, D, C, k, cases = 0;
    double top1, top3;
    CHECK(f != NULL && fscanf(f, "%d %d %d %d", &n, &nq, &D, &C) == 4);
    if (f == NULL)
        return;
    int32_t *label = malloc((size_t)n * sizeof *label), *want = malloc((size_t)nq * sizeof *want);
    float *x = malloc((size_t)n * D * sizeof *x), *query = malloc((size_t)nq * D * sizeof *query);
    double *vote = malloc((size_t)C * sizeof *vote);
    read_ints(f, label, n);
    read_floats(f, x, n * D);
    read_ints(f, want, nq);
    read_floats(f, query, nq * D);
    tw_unit_rows(x, (size_t)n, D);
    tw_unit_rows(query, (size_t)nq, D);
    tw_blocks *threads = tw_blocks_new(2);
    for (; fscanf(f, "%d %lf %lf", &k, &top1, &top3) == 3; cases++) {
        tw_knn *s = tw_knn_new(query, nq, D, k, threads);
        CHECK(s != NULL && tw_knn_add(s, x, n / 3) == 0 && tw_knn_add(s, x + n / 3 * D, n - n / 3) == 0);
        const tw_neighbour *near = tw_knn_finish(s);
        int first = 0, three = 0;
        for (int q = 0; q < nq; q++) {
            tw_knn_vote(vote, C, near + q * k, k, label, 0.07);
            const int rank = tw_knn_rank(vote, C, want[q]);
            first += rank == 0;
            three += rank < 3;
        }
        CHECK_NEAR((double)first / nq, top1, 1e-6);
        CHECK_NEAR((double)three / nq, top3, 1e-6);
        tw_knn_free(s);
    }
    CHECK(cases == 4);
    tw_blocks_free(threads);
    free(label), free(want), free(x), free(query), free(vote);
    fclose(f);
}

/* Against all products sorted; many equal ones, so that the order of equals matters. */
static void order(void)
{
    enum { N = 2500, NQ = 130, D = 3, K = 40 };
    static float x[N * D], query[NQ * D];
    static tw_neighbour first[NQ * K];
    tw_rng r;
    tw_rng_init(&r, 5, TW_USE_KMEANS, 0, 0, 0);
    for (int i = 0; i < N * D; i++)
        x[i] = (float)tw_rng_below(&r, 3);
    for (int i = 0; i < NQ * D; i++)
        query[i] = (float)tw_rng_below(&r, 3);
    for (int run = 0; run < 3; run++) {
        tw_blocks *threads = tw_blocks_new(run == 0 ? 1 : 4);
        tw_knn *s = tw_knn_new(query, NQ, D, K, threads);
        for (int at = 0, n; at < N; at += n) {
            n = run == 2 ? 1 + at % 777 : TW_KNN_CHUNK;
            n = n < N - at ? n : N - at;
            CHECK(tw_knn_add(s, x + at * D, n) == 0);
        }
        const tw_neighbour *near = tw_knn_finish(s);
        if (run == 0)
            memcpy(first, near, sizeof first);
        CHECK(memcmp(first, near, sizeof first) == 0);
        tw_knn_free(s);
        tw_blocks_free(threads);
    }
    int wrong = 0;
    for (int q = 0; q < NQ; q++)
        for (int k = 0; k < K; k++) {
            const tw_neighbour *near = first + q * K + k;
            int before = 0;
            for (int i = 0; i < N; i++) {
                const float c = x[i * D] * query[q * D] + x[i * D + 1] * query[q * D + 1] + x[i * D + 2] * query[q * D + 2];
                before += c > near->cosine || (c == near->cosine && i < near->row);
            }
            wrong += before != k;
        }
    CHECK(wrong == 0);
}

/* Labels numbered anew are as good: the same ranks, of equal votes too, and none for a class that the training set has not. */
static void numbers(void)
{
    enum { N = 6, C = 50 };
    const tw_neighbour near[] = {{5, 0.9f}, {0, 0.9f}, {1, 0.9f}, {3, 0.5f}, {2, 0.5f}, {4, 0.1f}};
    const int32_t label[N] = {40, 7, 49, 7, 12, 40};
    int32_t again[N], query[C];
    double few[4], all[C];
    memcpy(again, label, sizeof label);
    for (int c = 0; c < C; c++)
        query[c] = c;
    CHECK(tw_knn_number(again, N, query, C) == 4);
    CHECK(again[0] == 2 && again[1] == 0 && again[2] == 3 && again[4] == 1 && query[12] == 1 && query[0] == 4 && query[48] == 4);
    for (int k = 1; k <= N; k++) {
        tw_knn_vote(all, C, near, k, label, 0.1);
        tw_knn_vote(few, 4, near, k, again, 0.1);
        for (int c = 0; c < C; c++) {
            const int want = tw_knn_rank(all, C, c), is = tw_knn_rank(few, 4, query[c]);
            CHECK(want == C ? is == 4 : is == want);
        }
    }
    CHECK(tw_knn_number(again, 0, query, C) == 0 && query[0] == 0); /* no training set: no class */
}

static void votes(void)
{
    const tw_neighbour near[] = {{0, 0.9f}, {1, 0.8f}, {2, 0.8f}, {3, -1}};
    const int32_t label[] = {1, 0, 0, 3};
    double vote[5];
    tw_knn_vote(vote, 5, near, 3, label, 0.1);
    CHECK(tw_knn_rank(vote, 5, 1) == 0 && tw_knn_rank(vote, 5, 0) == 1);
    CHECK_NEAR(vote[0], 2 * exp(-1), 1e-6); /* cosines are floats */
    CHECK(tw_knn_rank(vote, 5, 3) == 5 && tw_knn_rank(vote, 5, 9) == 5); /* no vote, no such class */
    tw_knn_vote(vote, 5, near, 4, label, 1e-6);
    CHECK(vote[1] == 1 && isfinite(vote[0]) && tw_knn_rank(vote, 5, 1) == 0);
    tw_knn_vote(vote, 5, near, 2, (const int32_t[]){3, 2}, 1e6); /* equal votes: the lower class first */
    vote[2] = vote[3];
    CHECK(tw_knn_rank(vote, 5, 2) == 0 && tw_knn_rank(vote, 5, 3) == 1);
}

int main(void)
{
    golden();
    order();
    numbers();
    votes();
    return test_done();
}
