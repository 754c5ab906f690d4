/* Goal: products of matrices, and the largest of each row, are right, and the same bits for every kernel, every cutting into rows and any number of threads. */
#include "test.h"

#include "core/philox.h"
#include "eval/matrix.h"
#include "eval/matrix_kernels.h"

static float *noise(size_t n, uint64_t a)
{
    tw_rng r;
    float *x = malloc((n + 1) * sizeof *x);
    tw_rng_init(&r, 3, TW_USE_KMEANS, a, 0, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)tw_rng_normal(&r);
    return x;
}

/* The definition: one chain of fused steps for each element. */
static void judge(float *c, const float *a, const float *b, int m, int n, int k, bool add)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float s = add ? c[i * n + j] : 0;
            for (int d = 0; d < k; d++)
                s = fmaf(a[(size_t)i * k + d], b[(size_t)j * k + d], s);
            c[i * n + j] = s;
        }
}

static void products(void)
{
    static const int sizes[][3] = {{1, 1, 1}, {6, 16, 5}, {7, 17, 256}, {97, 33, 257}, {200, 70, 520}, {13, 1, 64}, {1, 65, 3}};
    tw_blocks *one = tw_blocks_new(1), *many = tw_blocks_new(5);
    int kernels = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        const size_t bytes = (size_t)m * n * sizeof(float);
        float *a = noise((size_t)m * k, 1), *b = noise((size_t)n * k, 2), *start = noise((size_t)m * n, 3);
        float *want = malloc(bytes), *c = malloc(bytes);
        float *bt = malloc((size_t)n * k * sizeof *bt), *at = malloc((size_t)m * k * sizeof *at);
        for (int i = 0; i < n * k; i++)
            bt[(size_t)(i % k) * n + i / k] = b[i];
        for (int i = 0; i < m * k; i++)
            at[(size_t)(i % k) * m + i / k] = a[i];
        for (int add = 0; add < 2; add++) {
            memcpy(want, start, bytes);
            judge(want, a, b, m, n, k, add);
            for (kernels = 0; tw_matrix_kernel_at(kernels) != NULL; kernels++) {
                tw_panels p;
                CHECK(tw_panels_init(&p, n + 3, k + 2, tw_matrix_kernel_at(kernels)) == 0);
                tw_panels_set(&p, b, (size_t)k, 1, n, k, one);
                memcpy(c, start, bytes);
                tw_product(c, (size_t)n, a, (size_t)k, 1, m, &p, add);
                CHECK(memcmp(c, want, bytes) == 0);
                tw_panels_set(&p, bt, 1, (size_t)n, n, k, many); /* both operands turned round, rows one by one */
                memcpy(c, start, bytes);
                for (int i = 0; i < m; i++)
                    tw_product(c + i * n, (size_t)n, at + i, 1, (size_t)m, 1, &p, add);
                CHECK(memcmp(c, want, bytes) == 0);
                tw_panels_fini(&p);
            }
        }
        free(a), free(b), free(start), free(want), free(c), free(bt), free(at);
    }
    CHECK(strcmp(tw_matrix_kernel_at(kernels - 1)->name, "portable") == 0);
    for (int i = 0; i < kernels; i++)
        printf("instructions: of matrices: %s%s\n", tw_matrix_kernel_at(i)->name, i == 0 ? ", taken" : "");
    tw_blocks_free(one);
    tw_blocks_free(many);
}

/* The first of the largest scores, as a loop over the definition finds it, for every kernel; also where many are equal, where the
 * columns come in several parts, and where some or all scores of a row are NaN or infinite. */
static void largest(void)
{
    static const int sizes[][3] = {{1, 1, 1}, {7, 17, 3}, {96, 33, 256}, {95, 70, 257}, {13, 2100, 5}, {50, 1025, 520}};
    float *scratch = malloc(TW_MATRIX_ROWS * TW_MATRIX_COLUMNS * sizeof *scratch);
    tw_blocks *one = tw_blocks_new(1);
    tw_rng r;
    tw_rng_init(&r, 6, TW_USE_KMEANS, 0, 0, 0);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        float *a = noise((size_t)m * k, 1), *b = noise((size_t)n * k, 2), *less = noise((size_t)n, 3), *c = malloc((size_t)m * n * sizeof *c);
        for (int whole = 0; whole < 2; whole++) {
            for (int i = 0; i < m * k && whole; i++) /* few values: many are equal */
                a[i] = (float)((int)tw_rng_below(&r, 3) - 1);
            for (int i = 0; i < n * k && whole; i++)
                b[i] = (float)((int)tw_rng_below(&r, 3) - 1);
            for (int i = 0; i < n && whole; i++)
                less[i] = tw_rng_below(&r, 8) == 0 ? INFINITY : 0;
            if (m > 6 && whole)
                a[0] = NAN, a[(size_t)6 * k] = INFINITY; /* rows 0 and 6; less may take an infinite score back */
            judge(c, a, b, m, n, k, false);
            for (int q = 0; tw_matrix_kernel_at(q) != NULL; q++) {
                tw_panels p;
                int32_t at[TW_MATRIX_ROWS];
                float score[TW_MATRIX_ROWS];
                int wrong = 0;
                CHECK(tw_panels_init(&p, n, k, tw_matrix_kernel_at(q)) == 0);
                tw_panels_set(&p, b, (size_t)k, 1, n, k, one);
                tw_product_largest(at, score, scratch, a, m, &p, less);
                for (int i = 0; i < m; i++) {
                    float best = -INFINITY;
                    int32_t want = 0;
                    for (int j = 0; j < n; j++)
                        if (c[(size_t)i * n + j] - less[j] > best) {
                            best = c[(size_t)i * n + j] - less[j];
                            want = j;
                        }
                    wrong += at[i] != want || score[i] != best;
                }
                CHECK(wrong == 0);
                tw_panels_fini(&p);
            }
        }
        free(a), free(b), free(less), free(c);
    }
    free(scratch);
    tw_blocks_free(one);
}

/* Against the C library's, also where bits cancel, vanish or overflow. */
static void fused(void)
{
    tw_rng r;
    int wrong = 0;
    tw_rng_init(&r, 4, TW_USE_KMEANS, 0, 0, 0);
    for (int i = 0; i < 200000; i++) {
        uint32_t word[3];
        float x[3];
        for (int j = 0; j < 3; j++)
            word[j] = tw_rng_u32(&r);
        memcpy(x, word, sizeof x);
        if (i % 3 == 1)
            x[2] = -x[0] * x[1]; /* only what the rounding of the product cut off is left */
        if (i % 3 == 2) {
            x[0] = (float)tw_rng_normal(&r);
            x[1] = (float)tw_rng_normal(&r);
            x[2] = (float)(tw_rng_normal(&r) * exp2(tw_rng_between(&r, -60, 60)));
        }
        const float got = tw_matrix_fused(x[0], x[1], x[2]), want = fmaf(x[0], x[1], x[2]);
        wrong += isnan(want) ? !isnan(got) : memcmp(&got, &want, sizeof got) != 0;
    }
    CHECK(wrong == 0);
}

static void lengths(void)
{
    float x[3][9] = {{3, 0, 0, 0, 0, 0, 0, 0, -4}, {0}, {1e-20f}};
    tw_unit_rows(x[0], 3, 9);
    CHECK_NEAR(x[0][0], 0.6, 1e-7);
    CHECK_NEAR(x[0][8], -0.8, 1e-7);
    CHECK(x[1][0] == 0 && x[2][0] == 1);
    const float y[11] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    CHECK(tw_sum_squares(y, 11) == 506);
}

int main(void)
{
    products();
    largest();
    fused();
    lengths();
    return test_done();
}
