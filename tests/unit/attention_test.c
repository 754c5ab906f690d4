/* Goal: attention and LayerNorm of the CPU against plain loops in f64, forward and backward: lengths around the blocks' sizes, widths
 * that fill no vector, one thread and two to the same bits, evaluation to the bits of training. */
#include "numbers_bf16.h"

static const tw_backend *be;
static tw_dev *dev;

/* Head h of sample n: y and the gradient of qkv. part 0, 1, 2: q, k, v. */
static void plain(const tw_attention *a, int n, int h, const float *qkv, const float *dy, double *y, double *d)
{
    const int T = a->T, w = a->width, C = a->heads * w;
#define AT(part, i, c) ((((size_t)n * (size_t)T + (size_t)(i)) * 3 + (part)) * (size_t)C + (size_t)(h * w + (c)))
#define OUT(i, c) (((size_t)n * (size_t)T + (size_t)(i)) * (size_t)C + (size_t)(h * w + (c)))
    double *p = tw_calloc((size_t)T, sizeof *p), *dp = tw_calloc((size_t)T, sizeof *dp);
    for (int i = 0; i < T; i++) {
        double max = -INFINITY, sum = 0, dot = 0;
        for (int k = 0; k < T; k++) {
            p[k] = 0;
            for (int c = 0; c < w; c++)
                p[k] += (double)qkv[AT(0, i, c)] * (double)qkv[AT(1, k, c)] / sqrt(w);
            max = fmax(max, p[k]);
        }
        for (int k = 0; k < T; k++)
            sum += p[k] = exp(p[k] - max);
        for (int k = 0; k < T; k++) {
            p[k] /= sum;
            dp[k] = 0;
            for (int c = 0; c < w; c++) {
                y[OUT(i, c)] += p[k] * (double)qkv[AT(2, k, c)];
                d[AT(2, k, c)] += p[k] * (double)dy[OUT(i, c)];
                dp[k] += (double)dy[OUT(i, c)] * (double)qkv[AT(2, k, c)];
            }
            dot += p[k] * dp[k];
        }
        for (int k = 0; k < T; k++)
            for (int c = 0; c < w; c++) {
                d[AT(0, i, c)] += p[k] * (dp[k] - dot) * (double)qkv[AT(1, k, c)] / sqrt(w);
                d[AT(1, k, c)] += p[k] * (dp[k] - dot) * (double)qkv[AT(0, i, c)] / sqrt(w);
            }
    }
    free(p), free(dp);
#undef AT
#undef OUT
}

/* size: of the numbers; large ones make a softmax of nearly one element. */
static void attention(int N, int T, int heads, int width, double size)
{
    const size_t n = (size_t)(N * T * heads * width);
    float *log_sum = numbers_within((size_t)(N * heads * T), 1);
    tw_attention a = {.N = N, .T = T, .heads = heads, .width = width, .train = true, .log_sum = log_sum};
    float *qkv = numbers_within(3 * n, size), *dy = numbers_within(n, 1), *y = numbers_within(n, 1), *again = numbers_within(n, 1), *d = numbers_within(3 * n, 1);
    double *want = tw_calloc(n, sizeof *want), *dwant = tw_calloc(3 * n, sizeof *dwant);
    for (int i = 0; i < N * heads; i++)
        plain(&a, i / heads, i % heads, qkv, dy, want, dwant);
    CHECK(be->attention_forward(dev, &a, y, qkv) == 0 && be->attention_backward(dev, &a, d, dy, y, qkv) == 0);
    CHECK(off(y, want, n) < 1e-5);
    CHECK(off(d, dwant, 3 * n) < 3e-5);
    a.train = false;
    a.log_sum = NULL;
    tw_dev *other = be->open(TW_F32, 3);
    be->enter(other);
    CHECK(be->attention_forward(other, &a, again, qkv) == 0 && memcmp(y, again, n * sizeof *y) == 0);
    be->close(other);
    be->enter(dev);
    free(log_sum), free(qkv), free(dy), free(y), free(again), free(d), free(want), free(dwant);
}

/* In bf16, on numbers that it holds: probabilities and gradients of scores are rounded too, by 2^-9 at most; their sums by less. Nothing is
 * written but what is wanted, and 1 to 3 threads give the same bits. */
static void attention_bf16(int N, int T, int heads, int width, double size)
{
    enum { BEHIND = 32 };
    const size_t n = (size_t)(N * T * heads * width);
    float *log_sum = numbers_within((size_t)(N * heads * T), 1), *qkv = numbers_within(3 * n, size), *dy = numbers_within(n, 1);
    double *want = tw_calloc(n, sizeof *want), *dwant = tw_calloc(3 * n, sizeof *dwant), far = 0, dfar[3] = {0};
    uint16_t *first = NULL, *dfirst = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        tw_dev *d = be->open(TW_BF16, threads);
        be->enter(d);
        void *qkv16 = to_bf16(be, d, qkv, 3 * n), *dy16 = to_bf16(be, d, dy, n);
        tw_attention a = {.N = N, .T = T, .heads = heads, .width = width, .train = true, .log_sum = log_sum};
        uint16_t *y = tw_calloc(n + BEHIND, 2), *again = tw_calloc(n, 2), *dqkv = tw_calloc(3 * n + BEHIND, 2);
        CHECK(be->attention_forward(d, &a, y, qkv16) == 0 && be->attention_backward(d, &a, dqkv, dy16, y, qkv16) == 0);
        for (int i = 0; i < BEHIND; i++)
            CHECK(y[n + (size_t)i] == 0 && dqkv[3 * n + (size_t)i] == 0);
        a.train = false;
        a.log_sum = NULL;
        CHECK(be->attention_forward(d, &a, again, qkv16) == 0 && memcmp(y, again, 2 * n) == 0);
        if (threads == 1) {
            for (int i = 0; i < N * heads; i++)
                plain(&a, i / heads, i % heads, qkv, dy, want, dwant);
            far = off_bf16(be, d, y, want, n);
            for (size_t part = 0; part < 3; part++) {
                double *of = tw_calloc(n, sizeof *of);
                uint16_t *got = tw_calloc(n, 2);
                const size_t C = (size_t)(heads * width);
                for (size_t row = 0; row < (size_t)(N * T); row++) {
                    memcpy(of + row * C, dwant + (3 * row + part) * C, C * sizeof *of);
                    memcpy(got + row * C, dqkv + (3 * row + part) * C, C * 2);
                }
                dfar[part] = off_bf16(be, d, got, of, n);
                free(of), free(got);
            }
            first = y, dfirst = dqkv;
        }
        CHECK(memcmp(first, y, 2 * n) == 0 && memcmp(dfirst, dqkv, 6 * n) == 0);
        free(qkv16), free(dy16), free(again);
        if (threads > 1)
            free(y), free(dqkv);
        be->close(d);
    }
    printf("bf16 T %d width %d: %.2g; gradients %.2g %.2g %.2g\n", T, width, far, dfar[0], dfar[1], dfar[2]);
    CHECK(far < 0x1p-7);
    for (int part = 0; part < 3; part++)
        CHECK(dfar[part] < 0x1p-6 || T == 1); /* of one token alone: zero but for rounding */
    free(log_sum), free(qkv), free(dy), free(want), free(dwant), free(first), free(dfirst);
    be->enter(dev);
}

static void in_bf16(void)
{
    attention_bf16(2, 1, 1, 32, 1);
    attention_bf16(1, 8, 2, 64, 1);
    attention_bf16(3, 9, 3, 20, 1); /* by f32 */
    attention_bf16(2, 37, 3, 64, 1);
    attention_bf16(1, 50, 2, 96, 1);
    attention_bf16(1, 197, 2, 64, 1);
    attention_bf16(1, 196, 1, 32, 6);
    attention_bf16(1, 256, 1, 64, 1);
    attention_bf16(1, 259, 1, 128, 2);
    attention_bf16(1, 577, 2, 64, 1);
}

static void layer_norm(int rows, int C)
{
    const size_t n = (size_t)rows * (size_t)C;
    float *x = numbers_within(n, 3), *dy = numbers_within(n, 1), *y = numbers_within(n, 1), *dx = numbers_within(n, 1), *gamma = numbers_within((size_t)C, 1);
    float *beta = numbers_within((size_t)C, 1), *dgamma = numbers_within((size_t)C, 1), *dbeta = numbers_within((size_t)C, 1);
    float *keep = numbers_within(2 * (size_t)rows, 1);
    double *want = tw_calloc(n, sizeof *want), *dwant = tw_calloc(n, sizeof *dwant), *gwant = tw_calloc((size_t)C, sizeof *gwant);
    double *bwant = tw_calloc((size_t)C, sizeof *bwant);
    const tw_layer_norm l = {.rows = rows, .C = C, .eps = 1e-6, .gamma = gamma, .beta = beta, .mean = keep, .rstd = keep + rows};
    for (int c = 0; c < C; c++) {
        gwant[c] = dgamma[c]; /* gradients are added to what is there */
        bwant[c] = dbeta[c];
    }
    for (size_t i = 0; i < n; i++)
        x[i] += 7; /* a mean well away from 0 */
    for (int r = 0; r < rows; r++) {
        const float *v = x + (size_t)r * (size_t)C, *g = dy + (size_t)r * (size_t)C;
        double mean = 0, var = 0, a = 0, b = 0;
        for (int c = 0; c < C; c++)
            mean += (double)v[c] / C;
        for (int c = 0; c < C; c++)
            var += ((double)v[c] - mean) * ((double)v[c] - mean) / C;
        const double rstd = 1 / sqrt(var + 1e-6);
        for (int c = 0; c < C; c++) {
            const double hat = ((double)v[c] - mean) * rstd;
            want[(size_t)r * (size_t)C + (size_t)c] = hat * (double)gamma[c] + (double)beta[c];
            gwant[c] += (double)g[c] * hat;
            bwant[c] += (double)g[c];
            a += (double)g[c] * (double)gamma[c] / C;
            b += (double)g[c] * (double)gamma[c] * hat / C;
        }
        for (int c = 0; c < C; c++)
            dwant[(size_t)r * (size_t)C + (size_t)c] = rstd * ((double)g[c] * (double)gamma[c] - a - ((double)v[c] - mean) * rstd * b);
    }
    CHECK(be->layer_norm_forward(dev, &l, y, x) == 0 && be->layer_norm_backward(dev, &l, dx, dgamma, dbeta, dy, x) == 0);
    CHECK(off(y, want, n) < 3e-6);
    CHECK(off(dx, dwant, n) < 1e-5);
    CHECK(off(dgamma, gwant, (size_t)C) < 1e-5);
    CHECK(off(dbeta, bwant, (size_t)C) < 1e-5);
    free(x), free(dy), free(y), free(dx), free(gamma), free(beta), free(dgamma), free(dbeta), free(keep);
    free(want), free(dwant), free(gwant), free(bwant);
}

int main(void)
{
    be = tw_backend_open("cpu");
    CHECK(be != NULL);
    if (be == NULL)
        return test_done();
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    dev = be->open(TW_F32, 2);
    CHECK(dev != NULL);
    be->enter(dev);
    attention(2, 1, 1, 8, 1);
    attention(3, 5, 3, 20, 1);
    attention(1, 96, 2, 16, 1);
    attention(2, 97, 1, 33, 1);
    attention(1, 197, 2, 64, 1);
    attention(1, 130, 2, 64, 6);
    tw_dev *bf16 = be->open(TW_BF16, 1); /* where the processor has it */
    if (bf16 != NULL)
        in_bf16();
    be->close(bf16);
    layer_norm(1, 1 + 4);
    layer_norm(65, 20);
    layer_norm(200, 192);
    be->close(dev);
    return test_done();
}
