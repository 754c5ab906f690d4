/* Goal: each operation of the CPU backend is what its definition says, written down here as the plainest loops in f64, at
 * shapes that hit every edge: channels that fill no vector, one pixel, strides that skip, views that are not square. */
#include "numbers_bf16.h"
#include "plain_conv.h"

#include "cpu/device.h"

static const tw_backend *be;
static tw_dev *dev;

static float *numbers(size_t n)
{
    return numbers_within(n, 1);
}

static void conv(int N, int H, int W, int C, int K, int size, int stride)
{
    const int pad = size / 2;
    const tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 * pad - size) / stride + 1,
                             .OW = (W + 2 * pad - size) / stride + 1, .K = K, .size = size, .stride = stride, .pad = pad,
                             .train = true, .data_gradient = true};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *dy = numbers(ny), *y = numbers(ny), *dx = numbers(nx), *dw = numbers(nw);
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0), *dw0 = tw_calloc(nw, sizeof *dw0);
    for (size_t i = 0; i < nw; i++)
        dw0[i] = dw[i]; /* the gradient is added to what is there */
    plain_conv(&s, x, w, dy, y0, dx0, dw0);
    tw_conv *c = be->conv_new(dev, &s);
    CHECK(c != NULL);
    CHECK(be->conv_weights(c, w) == 0 && be->conv_forward(c, y, x) == 0);
    CHECK(be->conv_backward_data(c, dx, dy) == 0 && be->conv_backward_weights(c, dw, x, dy) == 0);
    /* f32 sums of up to 5,000 products of both signs */
    const double a = off(y, y0, ny), b = off(dx, dx0, nx), d = off(dw, dw0, nw);
    if (!(a < 1e-5 && b < 1e-5 && d < 1e-5))
        printf("conv %dx%dx%dx%d -> %d size %d stride %d: %.2g %.2g %.2g\n", N, H, W, C, K, size, stride, a, b, d);
    CHECK(a < 1e-5);
    CHECK(b < 1e-5);
    CHECK(d < 1e-5);
    be->conv_free(c);
    free(x), free(w), free(dy), free(y), free(dx), free(dw), free(y0), free(dx0), free(dw0);
}

static void convolutions(void)
{
    conv(2, 11, 9, 3, 64, 7, 2);
    conv(3, 8, 8, 3, 64, 3, 1);
    conv(13, 8, 8, 16, 32, 3, 1);
    conv(7, 7, 5, 16, 24, 3, 2);
    conv(6, 4, 4, 32, 48, 3, 1);
    conv(19, 4, 4, 16, 32, 3, 2);
    conv(17, 2, 2, 64, 64, 3, 1);
    conv(5, 3, 2, 16, 24, 3, 1);
    conv(5, 3, 3, 24, 16, 3, 1);
    conv(6, 4, 4, 64, 72, 3, 1);
    conv(7, 7, 5, 64, 64, 3, 2);
    conv(4, 3, 5, 80, 64, 3, 1);
    conv(130, 7, 9, 128, 64, 3, 1);
    conv(3, 9, 13, 48, 64, 3, 1);
    conv(37, 17, 6, 32, 48, 3, 1);
    conv(2, 31, 32, 64, 32, 3, 1);
    conv(12, 2, 2, 32, 64, 3, 2);
    conv(11, 1, 1, 64, 32, 3, 1);
    conv(5, 1, 2, 32, 32, 3, 1);
    conv(5, 3, 1, 32, 32, 3, 2);
    conv(9, 6, 6, 32, 16, 1, 1);
    conv(9, 6, 6, 32, 64, 1, 2);
    conv(9, 1, 1, 64, 128, 1, 1);
    conv(130, 2, 2, 16, 16, 1, 2);
}

/* A convolution with the norm behind it in one pass: against the two apart, and each picture's bits whatever is beside it. */
static void folded(int N, int side, int C, int K, int size, int stride, bool add, bool relu)
{
    const int pad = size / 2, out = (side + 2 * pad - size) / stride + 1;
    tw_conv_shape s = {.N = N, .H = side, .W = side, .C = C, .OH = out, .OW = out, .K = K, .size = size, .stride = stride,
                       .pad = pad, .folded = true, .add = add, .relu = relu};
    const size_t nx = (size_t)N * (size_t)(side * side * C), ny = (size_t)N * (size_t)(out * out * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *y = numbers(ny), *one = numbers(ny), *shortcut = numbers(ny);
    float *gamma = numbers((size_t)K), *beta = numbers((size_t)K), *mean = numbers((size_t)K), *var = numbers((size_t)K);
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0), *dw0 = tw_calloc(nw, sizeof *dw0);
    plain_conv(&s, x, w, y, y0, dx0, dw0);
    for (int k = 0; k < K; k++)
        var[k] = fabsf(var[k]) + 0.1f;
    for (size_t i = 0; i < ny; i++) {
        const size_t k = i % (size_t)K;
        y0[i] = (y0[i] - mean[k]) / sqrt(var[k] + 1e-5) * gamma[k] + beta[k] + (add ? shortcut[i] : 0);
        y0[i] = relu && y0[i] < 0 ? 0 : y0[i];
    }
    const tw_norm norm = {.C = K, .gamma = gamma, .beta = beta, .running_mean = mean, .running_var = var};
    tw_conv *c = be->conv_new(dev, &s);
    CHECK(c != NULL);
    CHECK(be->conv_fold(c, w, &norm) == 0 && be->conv_folded(c, y, x, add ? shortcut : NULL) == 0);
    CHECK(off(y, y0, ny) < 1e-5);
    be->conv_free(c);
    s.N = 1;
    c = be->conv_new(dev, &s);
    CHECK(c != NULL);
    const size_t x1 = nx / (size_t)N, y1 = ny / (size_t)N, last = (size_t)N - 1;
    CHECK(be->conv_fold(c, w, &norm) == 0 && be->conv_folded(c, one, x + last * x1, add ? shortcut + last * y1 : NULL) == 0);
    CHECK(memcmp(one, y + last * y1, y1 * sizeof *y) == 0);
    be->conv_free(c);
    free(x), free(w), free(y), free(one), free(shortcut), free(gamma), free(beta), free(mean), free(var), free(y0), free(dx0), free(dw0);
}

static void folds(void)
{
    folded(3, 9, 16, 24, 3, 1, true, true);
    folded(5, 16, 32, 64, 3, 1, true, true);
    folded(7, 14, 64, 32, 3, 1, false, true);
    folded(2, 23, 32, 48, 3, 1, true, false);
    folded(4, 14, 32, 64, 3, 2, false, true);
    folded(9, 7, 64, 128, 1, 1, true, true);
    folded(3, 8, 64, 32, 1, 2, false, false);
    folded(2, 17, 3, 64, 7, 2, false, true);
}

static void linear(int rows, int C, int K)
{
    const size_t nx = (size_t)(rows * C), ny = (size_t)(rows * K), nw = (size_t)(K * C);
    float *x = numbers(nx), *w = numbers(nw), *b = numbers((size_t)K), *dy = numbers(ny), *y = numbers(ny), *dx = numbers(nx);
    float *dw = numbers(nw), *db = numbers((size_t)K);
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0), *dw0 = tw_calloc(nw, sizeof *dw0);
    double *db0 = tw_calloc((size_t)K, sizeof *db0);
    for (size_t i = 0; i < nw; i++)
        dw0[i] = dw[i];
    for (int k = 0; k < K; k++)
        db0[k] = db[k];
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < K; k++) {
            const size_t out = (size_t)(r * K + k);
            y0[out] = b[k];
            db0[k] += dy[out];
            for (int c = 0; c < C; c++) {
                y0[out] += (double)x[r * C + c] * w[k * C + c];
                dx0[r * C + c] += (double)dy[out] * w[k * C + c];
                dw0[k * C + c] += (double)dy[out] * x[r * C + c];
            }
        }
    tw_linear *l = be->linear_new(dev, rows, C, K, true);
    CHECK(l != NULL);
    CHECK(be->linear_weights(l, w, b) == 0 && be->linear_forward(l, y, x) == 0);
    CHECK(be->linear_backward_data(l, dx, dy) == 0 && be->linear_backward_weights(l, dw, db, x, dy) == 0);
    CHECK(off(y, y0, ny) < 1e-5);
    CHECK(off(dx, dx0, nx) < 1e-5);
    CHECK(off(dw, dw0, nw) < 1e-5);
    CHECK(off(db, db0, (size_t)K) < 1e-5);
    be->linear_free(l);
    free(x), free(w), free(b), free(dy), free(y), free(dx), free(dw), free(db), free(y0), free(dx0), free(dw0), free(db0);
}

/* One BatchNorm with everything it needs. */
typedef struct {
    tw_norm n;
    float *gamma, *beta, *mean, *var, *batch;
    double *sums;
} norm;

static norm norm_new(int rows, int C, bool relu, bool affine)
{
    norm m = {.gamma = numbers((size_t)C), .beta = numbers((size_t)C), .mean = numbers((size_t)C), .var = numbers((size_t)C),
              .batch = numbers(2 * (size_t)C), .sums = tw_calloc(2 * (size_t)C, sizeof(double))};
    for (int c = 0; c < C; c++)
        m.var[c] = fabsf(m.var[c]) + 0.1f;
    m.n = (tw_norm){.rows = rows, .count = rows, .C = C, .relu = relu, .gamma = affine ? m.gamma : NULL,
                    .beta = affine ? m.beta : NULL, .running_mean = m.mean, .running_var = m.var, .mean = m.batch,
                    .rstd = m.batch + C, .sums = m.sums};
    return m;
}

static void norm_free(norm *m)
{
    free(m->gamma), free(m->beta), free(m->mean), free(m->var), free(m->batch), free(m->sums);
}

/* y in f64; x may be changed at one place. */
static void plain_norm(double *y, const norm *m, const double *x, const float *shortcut)
{
    const int rows = (int)m->n.rows, C = m->n.C;
    for (int c = 0; c < C; c++) {
        double mean = 0, var = 0;
        for (int r = 0; r < rows; r++)
            mean += x[r * C + c] / rows;
        for (int r = 0; r < rows; r++)
            var += (x[r * C + c] - mean) * (x[r * C + c] - mean) / rows;
        for (int r = 0; r < rows; r++) {
            double v = (x[r * C + c] - mean) / sqrt(var + 1e-5);
            if (m->n.gamma != NULL)
                v = v * m->gamma[c] + m->beta[c];
            v += shortcut != NULL ? (double)shortcut[r * C + c] : 0;
            y[r * C + c] = m->n.relu && v < 0 ? 0 : v;
        }
    }
}

/* sum of y dy, whose derivatives the backward pass gives. */
static double loss(const norm *m, const double *x, const float *shortcut, const float *dy, const float *dy2, double *y)
{
    double total = 0;
    plain_norm(y, m, x, shortcut);
    for (size_t i = 0; i < (size_t)m->n.rows * (size_t)m->n.C; i++)
        total += y[i] * ((double)dy[i] + (dy2 != NULL ? (double)dy2[i] : 0));
    return total;
}

static void norms(int rows, int C, bool relu, bool affine, bool residual, bool two)
{
    const size_t n = (size_t)rows * (size_t)C;
    norm m = norm_new(rows, C, relu, affine);
    m.n.add = residual;
    float *x = numbers(n), *shortcut = residual ? numbers(n) : NULL, *y = numbers(n), *dy = numbers(n), *dx = numbers(n);
    float *dy2 = two ? numbers(n) : NULL, *g = numbers(n), *dgamma = tw_calloc((size_t)C, 4), *dbeta = tw_calloc((size_t)C, 4);
    double *xd = tw_calloc(n, sizeof *xd), *want = tw_calloc(n, sizeof *want), *scratch = tw_calloc(n, sizeof *scratch);
    for (size_t i = 0; i < n; i++)
        xd[i] = x[i] = 3 * x[i] + 5; /* a mean well away from 0 */
    memcpy(g, dy, n * sizeof *g);
    CHECK(be->norm_sums(dev, &m.n, x) == 0 && be->norm_statistics(dev, &m.n) == 0);
    CHECK(be->norm_apply(dev, &m.n, y, x, shortcut) == 0);
    plain_norm(want, &m, xd, shortcut);
    CHECK(off(y, want, n) < 3e-6);
    m.n.dgamma = affine ? dgamma : NULL, m.n.dbeta = affine ? dbeta : NULL;
    CHECK(be->norm_backward_sums(dev, &m.n, g, dy2, y, x) == 0);
    CHECK(be->norm_backward_apply(dev, &m.n, dx, g, x) == 0);
    double worst = 0, step = 1e-5;
    for (size_t i = 0; i < n; i += n / 20 + 1) { /* central differences in f64; a ReLU's kink is 1e-5 wide */
        const double keep = xd[i];
        xd[i] = keep + step;
        const double up = loss(&m, xd, shortcut, dy, dy2, scratch);
        xd[i] = keep - step;
        const double down = loss(&m, xd, shortcut, dy, dy2, scratch);
        xd[i] = keep;
        worst = fmax(worst, fabs((up - down) / (2 * step) - dx[i]));
        const double mask = relu && want[i] <= 0 ? 0 : 1; /* the shortcut's gradient is left in dy */
        if (residual)
            worst = fmax(worst, fabs((double)g[i] - mask * (dy[i] + (two ? (double)dy2[i] : 0))));
    }
    CHECK(worst < 2e-5);
    for (int c = 0; affine && c < C; c += C / 3 + 1) { /* sums of dy xhat and dy, in f64, over what the ReLU lets through */
        double sum = 0, square = 0, gamma = 0, beta = 0;
        for (int r = 0; r < rows; r++) {
            sum += xd[r * C + c];
            square += xd[r * C + c] * xd[r * C + c];
        }
        const double mean = sum / rows, rstd = 1 / sqrt(square / rows - mean * mean + 1e-5);
        for (int i = c; i < rows * C; i += C) {
            if (relu && want[i] <= 0)
                continue;
            const double gradient = dy[i] + (two ? (double)dy2[i] : 0);
            gamma += gradient * (xd[i] - mean) * rstd;
            beta += gradient;
        }
        CHECK_NEAR(dgamma[c], gamma, 1e-4);
        CHECK_NEAR(dbeta[c], beta, 1e-4);
    }
    norm_free(&m);
    free(x), free(shortcut), free(y), free(dy), free(dy2), free(g), free(dx), free(dgamma), free(dbeta);
    free(xd), free(want), free(scratch);
}

/* Running statistics and eval mode, by PyTorch's rules. */
static void running(void)
{
    const int rows = 40, C = 5;
    norm m = norm_new(rows, C, false, true);
    float *x = numbers((size_t)(rows * C)), *y = numbers((size_t)(rows * C)), mean0[5], var0[5];
    memcpy(mean0, m.mean, sizeof mean0);
    memcpy(var0, m.var, sizeof var0);
    CHECK(be->norm_sums(dev, &m.n, x) == 0 && be->norm_statistics(dev, &m.n) == 0);
    for (int c = 0; c < C; c++) {
        double mean = 0, var = 0;
        for (int r = 0; r < rows; r++)
            mean += (double)x[r * C + c] / rows;
        for (int r = 0; r < rows; r++)
            var += (x[r * C + c] - mean) * (x[r * C + c] - mean) / (rows - 1);
        CHECK_NEAR(m.mean[c], 0.9 * mean0[c] + 0.1 * mean, 1e-6);
        CHECK_NEAR(m.var[c], 0.9 * var0[c] + 0.1 * var, 1e-6);
    }
    CHECK(be->norm_running(dev, &m.n) == 0 && be->norm_apply(dev, &m.n, y, x, NULL) == 0);
    for (int i = 0; i < rows * C; i += 7)
        CHECK_NEAR(y[i], (x[i] - m.mean[i % C]) / sqrt(m.var[i % C] + 1e-5) * m.gamma[i % C] + m.beta[i % C], 2e-6);
    norm_free(&m);
    free(x), free(y);
}

/* ResNet's: 3 x 3 at stride 2. */
static tw_pool_shape stem_pool(int N, int H, int W, int C)
{
    return (tw_pool_shape){.N = N, .H = H, .W = W, .C = C, .OH = (H - 1) / 2 + 1, .OW = (W - 1) / 2 + 1, .size = 3, .stride = 2, .pad = 1};
}

/* Ties go to the first tap; the gradient goes where the maximum came from. */
static void pooling(int N, int H, int W, int C)
{
    const tw_pool_shape s = stem_pool(N, H, W, C);
    const size_t nx = (size_t)(N * H * W * C), ny = (size_t)(N * s.OH * s.OW * C);
    float *x = numbers(nx), *y = numbers(ny), *dy = numbers(ny), *dx = numbers(nx);
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0);
    uint8_t *pick = tw_calloc(ny, 1);
    for (size_t i = 0; i < nx; i++)
        x[i] = floorf(x[i] * 3); /* many ties */
    for (size_t o = 0; o < ny; o++) {
        const int c = (int)o % C, w = (int)o / C % s.OW, h = (int)o / C / s.OW % s.OH, n = (int)o / C / s.OW / s.OH;
        size_t from = 0;
        double best = -INFINITY;
        for (int t = 0; t < 9; t++) {
            const int a = 2 * h - 1 + t / 3, b = 2 * w - 1 + t % 3;
            if (a < 0 || b < 0 || a >= H || b >= W)
                continue;
            const size_t i = (size_t)(((n * H + a) * W + b) * C + c);
            if (x[i] > best)
                best = x[from = i];
        }
        y0[o] = best;
        dx0[from] += dy[o];
    }
    CHECK(be->max_forward(dev, &s, y, pick, x) == 0 && be->max_backward(dev, &s, dx, pick, dy) == 0);
    CHECK(off(y, y0, ny) == 0);
    CHECK(off(dx, dx0, nx) < 1e-6);
    free(x), free(y), free(dy), free(dx), free(y0), free(dx0), free(pick);
}

static void mean(void)
{
    enum { N = 3, HW = 6, C = 70 };
    float *x = numbers(N * HW * C), *y = numbers(N * C), *dx = numbers(N * HW * C);
    CHECK(be->mean_forward(dev, y, x, N, HW, C) == 0 && be->mean_backward(dev, dx, y, N, HW, C) == 0);
    for (int i = 0; i < N * C; i += 11) {
        double want = 0;
        for (int k = 0; k < HW; k++)
            want += (double)x[(i / C * HW + k) * C + i % C] / HW;
        CHECK_NEAR(y[i], want, 1e-6);
        CHECK_NEAR(dx[(i / C * HW + 2) * C + i % C], y[i] / HW, 1e-7);
    }
    free(x), free(y), free(dx);
}

static void elementwise(void)
{
    enum { N = 40000 }; /* more than one piece */
    float *x = numbers(N), *y = numbers(N), *dx = numbers(N), *dy = numbers(N);
    CHECK(be->gelu_forward(dev, y, x, N) == 0 && be->gelu_backward(dev, dx, dy, x, N) == 0);
    for (int i = 0; i < N; i += 997) {
        const double v = x[i], cdf = 0.5 * erfc(-v / sqrt(2)), pdf = exp(-v * v / 2) / sqrt(2 * acos(-1));
        CHECK_NEAR(y[i], v * cdf, 2e-7);
        CHECK_NEAR(dx[i], dy[i] * (cdf + v * pdf), 3e-7);
    }
    const float before = y[N - 1];
    CHECK(be->add(dev, y, x, N) == 0);
    CHECK_NEAR(y[N - 1], before + x[N - 1], 0);
    const uint8_t pixel[] = {0, 128, 255, 7, 9, 11};
    CHECK(be->pictures(dev, y, pixel, 2) == 0);
    CHECK_NEAR(y[0], (0 - 0.485) / 0.229, 1e-6);
    CHECK_NEAR(y[4], (9 / 255.0 - 0.456) / 0.224, 1e-6);
    CHECK_NEAR(y[2], (1 - 0.406) / 0.225, 1e-6);
    free(x), free(y), free(dx), free(dy);
}

/* The share that is dropped, the scale of the rest, the same mask again, another one at the next step and for other rows. */
static void dropout(void)
{
    enum { ROWS = 64, C = 300 };
    tw_drop d = {.p = 0.25, .seed = 5, .step = 9, .row = 128, .batch = ROWS, .stride = ROWS, .layer = 3};
    float *x = numbers(ROWS * C), *y = numbers(ROWS * C), *z = numbers(ROWS * C);
    for (int i = 0; i < ROWS * C; i++)
        x[i] = 1;
    CHECK(be->dropout(dev, &d, y, x, ROWS, C) == 0 && be->dropout(dev, &d, z, x, ROWS, C) == 0);
    int zeros = 0, odd = 0, differ = 0;
    for (int i = 0; i < ROWS * C; i++) {
        zeros += y[i] == 0;
        odd += y[i] != 0 && fabsf(y[i] - 4 / 3.0f) > 1e-6f;
    }
    CHECK(odd == 0 && memcmp(y, z, ROWS * C * sizeof *y) == 0);
    CHECK_NEAR(zeros / (double)(ROWS * C), 0.25, 5 * sqrt(0.25 * 0.75 / (ROWS * C)));
    d.row = 129; /* rows move up by one */
    CHECK(be->dropout(dev, &d, z, x, ROWS, C) == 0);
    CHECK(memcmp(y + C, z, (ROWS - 1) * C * sizeof *y) == 0);
    d.step = 10;
    CHECK(be->dropout(dev, &d, z, x, ROWS, C) == 0);
    for (int i = C; i < ROWS * C; i++)
        differ += (y[i] == 0) != (z[i - C] == 0);
    CHECK_NEAR(differ / (double)(ROWS * C - C), 2 * 0.25 * 0.75, 0.02);
    free(x), free(y), free(z);
}

/* A layer of evaluation: a folded convolution; side 1: a linear layer, as those of vision transformers. */
typedef struct {
    int side, C, K, size, stride;
} layer;

/* y of N pictures or rows x, all in the device's precision. */
static void evaluate(tw_dev *d, const layer *l, int N, void *y, const float *w, const tw_norm *bn, const void *x, const void *shortcut)
{
    const int pad = l->size / 2, out = (l->side + 2 * pad - l->size) / l->stride + 1;
    const tw_conv_shape s = {.N = N, .H = l->side, .W = l->side, .C = l->C, .OH = out, .OW = out, .K = l->K, .size = l->size,
                             .stride = l->stride, .pad = pad, .folded = true, .add = l->size == 3, .relu = true};
    be->enter(d);
    if (l->side == 1) {
        tw_linear *linear = be->linear_new(d, N, l->C, l->K, false);
        CHECK(linear != NULL && be->linear_weights(linear, w, bn->beta) == 0 && be->linear_forward(linear, y, x) == 0);
        be->linear_free(linear);
        return;
    }
    tw_conv *c = be->conv_new(d, &s);
    CHECK(c != NULL && be->conv_fold(c, w, bn) == 0 && be->conv_folded(c, y, x, s.add ? shortcut : NULL) == 0);
    be->conv_free(c);
}

/* n numbers, in place, to the device's precision. */
static void narrow(float *x, size_t n, tw_dtype type)
{
    for (size_t i = 0; i < n && type == TW_BF16; i++)
        memcpy((char *)x + 2 * i, (char *)(x + i) + 2, 2);
}

/* In evaluation a picture's bits are its own, whatever is beside it and however many threads there are, in every precision that the
 * processor has. */
static void alone(tw_dtype type)
{
    static const layer layers[] = {
        {64, 3, 64, 7, 2}, {32, 3, 64, 3, 1}, {56, 64, 64, 3, 1}, {56, 64, 256, 1, 1}, {56, 256, 128, 1, 1}, {56, 128, 128, 3, 2},
        {28, 512, 128, 1, 1}, {28, 512, 1024, 1, 2}, {14, 256, 256, 3, 1}, {14, 256, 1024, 1, 1}, {7, 512, 512, 3, 1}, {7, 2048, 512, 1, 1},
        {8, 64, 64, 3, 1}, {8, 64, 128, 1, 2}, {4, 128, 128, 3, 1}, {4, 128, 256, 3, 2}, {2, 256, 256, 3, 1}, {2, 256, 512, 3, 2},
        {2, 256, 512, 1, 2}, {1, 512, 512, 1, 1}, {1, 512, 40, 1, 1}, {1, 192, 576, 1, 1}, {1, 768, 3072, 1, 1}, {1, 3072, 768, 1, 1},
        {32, 3, 384, 16, 16},
    };
    static const int batches[] = {2, 3, 4, 7, 16, 33};
    tw_dev *devs[] = {be->open(type, 1), be->open(type, 2)};
    const size_t size = tw_dtype_size(type);
    for (size_t k = 0; devs[0] != NULL && k < sizeof layers / sizeof *layers; k++) {
        const layer *l = &layers[k];
        const int most = l->side > 14 ? 4 : 33, out = (l->side + 2 * (l->size / 2) - l->size) / l->stride + 1;
        const size_t nx = (size_t)(l->side * l->side * l->C), ny = (size_t)(out * out * l->K), all = (size_t)most;
        float *x = numbers(nx * all), *shortcut = numbers(ny * all), *y = numbers(ny * all), *want = numbers(ny * all);
        float *w = numbers((size_t)(l->K * l->C * l->size * l->size)), *of_norm = numbers_within(3 * (size_t)l->K, 0.5);
        const tw_norm bn = {.C = l->K, .beta = of_norm, .running_mean = of_norm + l->K, .running_var = of_norm + 2 * l->K};
        for (int i = 0; i < l->K; i++)
            bn.running_var[i] = 1;
        narrow(x, nx * all, type);
        narrow(shortcut, ny * all, type);
        for (size_t i = 0; i < all; i++)
            evaluate(devs[0], l, 1, (char *)want + i * ny * size, w, &bn, (char *)x + i * nx * size, (char *)shortcut + i * ny * size);
        for (size_t i = 0; i < 2 * sizeof batches / sizeof *batches; i++) {
            const int N = batches[i / 2];
            if (N > most)
                break;
            evaluate(devs[i % 2], l, N, y, w, &bn, x, shortcut);
            const bool same = memcmp(y, want, (size_t)N * ny * size) == 0;
            if (!same)
                printf("%s, side %d, %d -> %d, size %d, stride %d: %d together, %zu threads\n", tw_dtype_name(type), l->side, l->C, l->K, l->size,
                       l->stride, N, 1 + i % 2);
            CHECK(same);
        }
        free(x), free(shortcut), free(y), free(want), free(w), free(of_norm);
    }
    be->close(devs[0]);
    be->close(devs[1]);
}

/* The three passes of a convolution or a linear layer in bf16 against f64, the operands being exact. The gradient of the weights has f32
 * sums (of numbers rounded once more where it is made by minimal filtering), of the same bits for 1 to 3 threads. */
static bool own16; /* false: as on a processor whose oneDNN has matrix tiles */

static void passes(int N, int side, int C, int K, int size, int stride, bool linear)
{
    const int pad = size / 2, out = (side + 2 * pad - size) / stride + 1;
    const tw_conv_shape s = {.N = N, .H = side, .W = side, .C = C, .OH = out, .OW = out, .K = K, .size = size, .stride = stride, .pad = pad,
                             .train = true, .data_gradient = true};
    const size_t nx = (size_t)(N * side * side * C), ny = (size_t)(N * out * out * K), nw = (size_t)(K * C * size * size);
    const bool winograd = own16 && size == 3 && stride == 1; /* rounds between its maps too */
    const double bound = winograd ? 0x1p-7 : 0x1p-8;
    float *x = numbers(nx), *dy = numbers(ny), *w = numbers(nw), *before = numbers(nw), *b = numbers((size_t)K), *db[3], *dw[3];
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0), *dw0 = tw_calloc(nw, sizeof *dw0);
    double *db0 = tw_calloc((size_t)K, sizeof *db0);
    for (size_t i = 0; i < nw; i++)
        dw0[i] = before[i];
    tw_dev *one = be->open(TW_BF16, 1);
    be->enter(one);
    free(to_bf16(be, one, w, nw));
    free(to_bf16(be, one, x, nx));
    free(to_bf16(be, one, dy, ny));
    be->close(one);
    plain_conv(&s, x, w, dy, y0, dx0, dw0);
    for (size_t i = 0; i < ny && linear; i++) {
        y0[i] += (double)b[i % (size_t)K];
        db0[i % (size_t)K] += (double)dy[i];
    }
    for (int k = 0; k < K; k++)
        db0[k] += (double)b[k]; /* gradients are added to what is there */
    for (int i = 0; i < 3; i++) {
        tw_dev *d = be->open(TW_BF16, i + 1);
        d->own16 = d->own16 && own16;
        be->enter(d);
        void *x16 = to_bf16(be, d, x, nx), *dy16 = to_bf16(be, d, dy, ny);
        tw_conv *c = linear ? NULL : be->conv_new(d, &s);
        tw_linear *l = linear ? be->linear_new(d, N, C, K, true) : NULL;
        dw[i] = tw_alloc64(nw * sizeof *w);
        db[i] = tw_alloc64((size_t)K * sizeof *b);
        memcpy(dw[i], before, nw * sizeof *w);
        memcpy(db[i], b, (size_t)K * sizeof *b);
        CHECK((linear ? be->linear_weights(l, w, b) : be->conv_weights(c, w)) == 0);
        CHECK((linear ? be->linear_backward_weights(l, dw[i], db[i], x16, dy16) : be->conv_backward_weights(c, dw[i], x16, dy16)) == 0);
        CHECK(memcmp(dw[i], dw[0], nw * sizeof *w) == 0 && memcmp(db[i], db[0], (size_t)K * sizeof *b) == 0);
        void *y = tw_alloc64(ny * 2), *dx = tw_alloc64(nx * 2);
        CHECK((linear ? be->linear_forward(l, y, x16) : be->conv_forward(c, y, x16)) == 0 && off_bf16(be, d, y, y0, ny) < bound);
        CHECK((linear ? be->linear_backward_data(l, dx, dy16) : be->conv_backward_data(c, dx, dy16)) == 0 && off_bf16(be, d, dx, dx0, nx) < bound);
        be->conv_free(c);
        be->linear_free(l);
        be->close(d);
        free(x16), free(dy16), free(y), free(dx);
    }
    const double far = off(dw[0], dw0, nw); /* f32 sums of up to 3,000 products of both signs */
    const double most = winograd ? 0x1p-7 : 1e-5;
    if (!(far < most))
        printf("bf16 %dx%dx%dx%d -> %d size %d stride %d: %.2g\n", N, side, side, C, K, size, stride, far);
    CHECK(far < most);
    CHECK(off(db[0], db0, (size_t)K) < 1e-5); /* of a convolution: as it was */
    for (int i = 0; i < 3; i++)
        free(dw[i]), free(db[i]);
    free(x), free(dy), free(w), free(before), free(b), free(y0), free(dx0), free(dw0), free(db0);
}

/* A folded convolution in bf16, with all that follows it, against f64. */
static void folded_in_bf16(int N, int side, int C, int K, int size, bool add, bool relu)
{
    const tw_conv_shape s = {.N = N, .H = side, .W = side, .C = C, .OH = side, .OW = side, .K = K, .size = size, .stride = 1, .pad = size / 2,
                             .folded = true, .add = add, .relu = relu};
    const size_t nx = (size_t)(N * side * side * C), ny = (size_t)(N * side * side * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *shortcut = numbers(ny), *beta = numbers((size_t)K), *mean = numbers((size_t)K);
    float *var = numbers((size_t)K);
    double *y0 = tw_calloc(ny, sizeof *y0), *dx0 = tw_calloc(nx, sizeof *dx0), *dw0 = tw_calloc(nw, sizeof *dw0);
    tw_dev *d = be->open(TW_BF16, 2);
    d->own16 = d->own16 && own16;
    be->enter(d);
    void *x16 = to_bf16(be, d, x, nx), *shortcut16 = to_bf16(be, d, shortcut, ny), *y = tw_alloc64(ny * 2);
    plain_conv(&s, x, w, shortcut, y0, dx0, dw0);
    for (int k = 0; k < K; k++)
        var[k] = fabsf(var[k]) + 0.1f;
    for (size_t i = 0; i < ny; i++) {
        const size_t k = i % (size_t)K;
        y0[i] = (y0[i] - mean[k]) / sqrt(var[k] + 1e-5) + beta[k] + (add ? shortcut[i] : 0);
        y0[i] = relu && y0[i] < 0 ? 0 : y0[i];
    }
    const tw_norm bn = {.C = K, .beta = beta, .running_mean = mean, .running_var = var};
    tw_conv *c = be->conv_new(d, &s);
    CHECK(c != NULL && be->conv_fold(c, w, &bn) == 0 && be->conv_folded(c, y, x16, add ? shortcut16 : NULL) == 0);
    CHECK(off_bf16(be, d, y, y0, ny) < 0x1p-7);
    be->conv_free(c);
    be->close(d);
    free(x), free(w), free(shortcut), free(beta), free(mean), free(var), free(y0), free(dx0), free(dw0), free(x16), free(shortcut16), free(y);
}

/* Odd numbers of places, less than a piece and several, blocks of panels of every width, all strides and paddings. */
static void in_bf16(void)
{
    passes(3, 29, 64, 96, 3, 1, false);
    passes(2, 4, 96, 320, 3, 1, false);
    passes(1, 3, 32, 32, 3, 1, false);
    passes(2, 7, 32, 64, 1, 1, false);
    passes(3, 3, 64, 32, 1, 1, false);
    passes(3, 16, 32, 96, 1, 2, false);
    folded_in_bf16(3, 15, 64, 32, 3, true, true);
    folded_in_bf16(2, 28, 32, 96, 3, false, true);
    folded_in_bf16(5, 7, 96, 64, 3, true, false);
    folded_in_bf16(3, 15, 64, 96, 1, true, true);
    folded_in_bf16(1, 4, 32, 64, 1, true, false);
    folded_in_bf16(2, 2, 64, 32, 1, false, true);
    passes(1, 1, 32, 32, 1, 1, false);
    passes(3, 1, 32, 64, 1, 1, true);
    passes(1031, 1, 64, 96, 1, 1, true);
    passes(1100, 1, 640, 32, 1, 1, true);
    passes(5, 9, 64, 32, 1, 2, false);
    passes(3, 15, 96, 32, 1, 1, false);
    passes(2, 5, 640, 64, 1, 1, false);
    passes(3, 7, 64, 32, 3, 1, false);
    passes(5, 8, 32, 64, 3, 2, false);
    passes(3, 9, 64, 32, 3, 2, false);
    passes(2, 16, 32, 32, 3, 2, false);
    passes(2, 6, 480, 512, 3, 2, false);
    passes(2, 23, 96, 32, 3, 1, false);
    passes(7, 2, 64, 64, 3, 2, false);
}

/* What a norm in bf16 makes of the same numbers. */
typedef struct {
    double *sums, *back; /* [2C] */
    void *y, *g, *dx;
} norm_results;

static norm_results norm_in_bf16(norm *m, int threads, float *x, float *shortcut, float *dy, float *dy2)
{
    const size_t n = (size_t)m->n.rows * (size_t)m->n.C, sums = 2 * (size_t)m->n.C * sizeof(double);
    tw_dev *d = be->open(TW_BF16, threads);
    be->enter(d);
    void *x16 = to_bf16(be, d, x, n), *shortcut16 = shortcut != NULL ? to_bf16(be, d, shortcut, n) : NULL;
    void *dy2_16 = dy2 != NULL ? to_bf16(be, d, dy2, n) : NULL;
    norm_results r = {.sums = tw_alloc64(sums), .back = tw_alloc64(sums), .y = tw_alloc64(2 * n), .dx = tw_alloc64(2 * n)};
    r.g = to_bf16(be, d, dy, n);
    CHECK(be->norm_sums(d, &m->n, x16) == 0);
    memcpy(r.sums, m->sums, sums);
    CHECK(be->norm_statistics(d, &m->n) == 0 && be->norm_apply(d, &m->n, r.y, x16, shortcut16) == 0);
    CHECK(be->norm_backward_sums(d, &m->n, r.g, dy2_16, r.y, x16) == 0);
    memcpy(r.back, m->sums, sums);
    CHECK(be->norm_backward_apply(d, &m->n, r.dx, r.g, x16) == 0);
    free(x16), free(shortcut16), free(dy2_16);
    be->close(d);
    return r;
}

static void norm_results_free(norm_results *r)
{
    free(r->sums), free(r->back), free(r->y), free(r->g), free(r->dx);
}

/* A norm's passes in bf16 against f64, the numbers that it is given being exact; the same bits for 1 to 3 threads. */
static void norms_in_bf16(int rows, int C, bool relu, bool residual, bool two)
{
    const size_t n = (size_t)rows * (size_t)C, c2 = 2 * (size_t)C;
    norm m = norm_new(rows, C, relu, true);
    m.n.add = residual;
    float *x = numbers(n), *shortcut = residual ? numbers(n) : NULL, *dy = numbers(n), *dy2 = two ? numbers(n) : NULL, *y = numbers(n);
    double *want = tw_calloc(c2, sizeof *want), *want_back = tw_calloc(c2, sizeof *want_back), *size = tw_calloc(c2, sizeof *size);
    double *want_y = tw_calloc(n, sizeof *want_y), *want_g = tw_calloc(n, sizeof *want_g), *want_dx = tw_calloc(n, sizeof *want_dx);
    double *xd = tw_calloc(n, sizeof *xd);
    norm_results r = norm_in_bf16(&m, 1, x, shortcut, dy, dy2);
    for (int threads = 2; threads <= 3; threads++) {
        norm_results t = norm_in_bf16(&m, threads, x, shortcut, dy, dy2);
        CHECK(memcmp(r.sums, t.sums, c2 * sizeof(double)) == 0 && memcmp(r.back, t.back, c2 * sizeof(double)) == 0);
        CHECK(memcmp(r.y, t.y, 2 * n) == 0 && memcmp(r.g, t.g, 2 * n) == 0 && memcmp(r.dx, t.dx, 2 * n) == 0);
        norm_results_free(&t);
    }
    tw_dev *d = be->open(TW_BF16, 1);
    be->enter(d);
    CHECK(be->to_f32(d, y, r.y, n) == 0);
    for (size_t k = 0; k < n; k++)
        xd[k] = (double)x[k];
    plain_norm(want_y, &m, xd, shortcut);
    CHECK(off_bf16(be, d, r.y, want_y, n) < 0.004);
    for (size_t k = 0; k < n; k++) {
        const size_t c = k % (size_t)C;
        want_g[k] = (double)dy[k];
        if (two) { /* the sum is kept in bf16 */
            float sum = dy[k] + dy2[k];
            free(to_bf16(be, d, &sum, 1));
            want_g[k] = (double)sum;
        }
        want_g[k] = relu && !(y[k] > 0) ? 0 : want_g[k];
        want[c] += xd[k];
        want[(size_t)C + c] += xd[k] * xd[k];
        want_back[c] += want_g[k];
        want_back[(size_t)C + c] += want_g[k] * xd[k];
        size[c] += fabs(xd[k]) + fabs(want_g[k]);
        size[(size_t)C + c] += xd[k] * xd[k] + fabs(want_g[k] * xd[k]);
    }
    double far = 0; /* four numbers added in f32: 2^-22 of their sizes at most */
    for (size_t c = 0; c < c2; c++)
        far = fmax(far, fmax(fabs(r.sums[c] - want[c]), fabs(r.back[c] - want_back[c])) / size[c]);
    CHECK(far < 3e-7);
    if (residual) /* the shortcut's gradient */
        CHECK(off_bf16(be, d, r.g, want_g, n) == 0);
    for (size_t k = 0; k < n; k++) {
        const size_t c = k % (size_t)C, q = (size_t)C + c;
        const double mean = want[c] / rows, rstd = 1 / sqrt(want[q] / rows - mean * mean + 1e-5), centred = (xd[k] - mean) * rstd;
        want_dx[k] = (double)m.gamma[c] * rstd * (want_g[k] - want_back[c] / rows - centred * (want_back[q] - mean * want_back[c]) * rstd / rows);
    }
    CHECK(off_bf16(be, d, r.dx, want_dx, n) < 0.004);
    be->close(d);
    norm_results_free(&r);
    norm_free(&m);
    free(x), free(shortcut), free(dy), free(dy2), free(y), free(want), free(want_back), free(size);
    free(want_y), free(want_g), free(want_dx), free(xd);
}

/* Max pooling in bf16: what it makes in f32, of the same numbers; sums of gradients to half a unit of bf16. */
static void pooling_in_bf16(int N, int H, int W, int C)
{
    const tw_pool_shape s = stem_pool(N, H, W, C);
    const size_t nx = (size_t)(N * H * W * C), ny = (size_t)(N * s.OH * s.OW * C);
    float *x = numbers(nx), *y = numbers(ny), *dy = numbers(ny), *dx = numbers(nx);
    double *yd = tw_calloc(ny, sizeof *yd), *dxd = tw_calloc(nx, sizeof *dxd);
    uint8_t *pick = tw_calloc(ny, 1), *pick16 = tw_calloc(ny, 1);
    tw_dev *d = be->open(TW_BF16, 2), *f = be->open(TW_F32, 2);
    be->enter(d);
    void *x16 = to_bf16(be, d, x, nx), *dy16 = to_bf16(be, d, dy, ny), *y16 = tw_alloc64(2 * ny), *dx16 = tw_alloc64(2 * nx);
    CHECK(be->max_forward(d, &s, y16, pick16, x16) == 0 && be->max_backward(d, &s, dx16, pick16, dy16) == 0);
    CHECK(be->max_forward(f, &s, y, pick, x) == 0 && be->max_backward(f, &s, dx, pick, dy) == 0);
    for (size_t i = 0; i < ny; i++)
        yd[i] = (double)y[i];
    for (size_t i = 0; i < nx; i++)
        dxd[i] = (double)dx[i];
    CHECK(memcmp(pick, pick16, ny) == 0);
    CHECK(off_bf16(be, d, y16, yd, ny) == 0);
    CHECK(off_bf16(be, d, dx16, dxd, nx) < 0.004);
    be->close(d), be->close(f);
    free(x), free(y), free(dy), free(dx), free(yd), free(dxd), free(pick), free(pick16), free(x16), free(dy16), free(y16), free(dx16);
}

/* A norm with max pooling behind it: to the byte what the two make one after the other. */
static void norm_and_pooling(tw_dtype t, int threads, int N, int H, int W, int C)
{
    const tw_pool_shape s = stem_pool(N, H, W, C);
    const size_t nx = (size_t)(N * H * W * C), ny = (size_t)(N * s.OH * s.OW * C), each = tw_dtype_size(t);
    norm m = norm_new(N * H * W, C, true, true);
    float *numbers_x = numbers(nx), *numbers_dy = numbers(ny);
    double apart[2 * 136], total[2 * 136];
    tw_dev *d = be->open(t, threads);
    be->enter(d);
    void *x = tw_alloc64(nx * each), *dy = tw_alloc64(ny * each), *between = tw_alloc64(nx * each), *g = tw_alloc64(nx * each);
    void *y = tw_alloc64(ny * each), *y1 = tw_alloc64(ny * each), *dx = tw_alloc64(nx * each), *dx1 = tw_alloc64(nx * each);
    uint8_t *pick = tw_calloc(ny, 1), *pick1 = tw_calloc(ny, 1);
    CHECK(be->from_f32(d, x, numbers_x, nx) == 0 && be->from_f32(d, dy, numbers_dy, ny) == 0);
    CHECK(be->norm_sums(d, &m.n, x) == 0 && be->norm_statistics(d, &m.n) == 0);
    CHECK(be->norm_apply(d, &m.n, between, x, NULL) == 0 && be->max_forward(d, &s, y, pick, between) == 0);
    CHECK(be->max_backward(d, &s, g, pick, dy) == 0 && be->norm_backward_sums(d, &m.n, g, NULL, NULL, x) == 0);
    memcpy(apart, m.sums, 2 * (size_t)C * sizeof *apart);
    CHECK(be->norm_backward_apply(d, &m.n, dx, g, x) == 0);
    CHECK(be->norm_max_forward(d, &m.n, &s, y1, pick1, x) == 0 && be->norm_max_backward_sums(d, &m.n, &s, pick1, dy, x) == 0);
    memcpy(total, m.sums, 2 * (size_t)C * sizeof *total);
    CHECK(be->norm_max_backward_apply(d, &m.n, &s, dx1, pick1, dy, x) == 0);
    CHECK(memcmp(y, y1, ny * each) == 0 && memcmp(pick, pick1, ny) == 0);
    CHECK(memcmp(apart, total, 2 * (size_t)C * sizeof *apart) == 0 && memcmp(dx, dx1, nx * each) == 0);
    be->close(d);
    norm_free(&m);
    free(numbers_x), free(numbers_dy), free(x), free(dy), free(between), free(g), free(y), free(y1), free(dx), free(dx1), free(pick), free(pick1);
}

static void norms_and_pooling(tw_dtype t)
{
    for (int threads = 1; threads <= 3; threads++) {
        norm_and_pooling(t, threads, 3, 8, 6, 10);
        norm_and_pooling(t, threads, 2, 7, 1, 64);
        norm_and_pooling(t, threads, 2, 25, 30, 136);
    }
}

/* GELU in bf16 of every number that it holds, against f64: half a unit of bf16, and 2^-14 of what the gradient's two terms are where they cancel;
 * NaN stays. */
static void gelu_in_bf16(void)
{
    enum { N = 1 << 16 };
    tw_dev *d = be->open(TW_BF16, 2);
    be->enter(d);
    uint16_t *x16 = tw_alloc64(2 * N), *dy16 = tw_alloc64(2 * N), *y16 = tw_calloc(N + 1, 2), *dx16 = tw_calloc(N + 1, 2);
    float *x = tw_alloc64(N * sizeof *x), *dy = tw_alloc64(N * sizeof *dy), *y = tw_alloc64(N * sizeof *y), *dx = tw_alloc64(N * sizeof *dx);
    for (int i = 0; i < N; i++) {
        x16[i] = (uint16_t)i;
        dy16[i] = (uint16_t)(0x3f80 | (i & 0x807f)); /* of sizes 1 to 2 */
    }
    CHECK(be->gelu_forward(d, y16, x16, N - 1) == 0 && be->gelu_backward(d, dx16, dy16, x16, N - 1) == 0);
    CHECK(y16[N - 1] == 0 && dx16[N - 1] == 0);
    CHECK(be->to_f32(d, x, x16, N) == 0 && be->to_f32(d, dy, dy16, N) == 0 && be->to_f32(d, y, y16, N) == 0 && be->to_f32(d, dx, dx16, N) == 0);
    for (int i = 0; i < N - 1; i++) {
        const double v = (double)x[i], cdf = 0.5 * erfc(-v / sqrt(2)), pdf = exp(-v * v / 2) / sqrt(2 * acos(-1));
        if (isnan(v)) {
            CHECK(isnan(y[i]) && isnan(dx[i]));
            continue;
        }
        const double want = v * cdf, dwant = (double)dy[i] * (cdf + v * pdf);
        const double far = fabs((double)y[i] - want) - 0x1.1p-8 * fabs(want), dfar = fabs((double)dx[i] - dwant) - 0x1.1p-8 * fabs(dwant);
        const bool good = !isfinite(v) || (far < 1e-6 && dfar < 1e-6 + 0x1p-14 * fabs((double)dy[i]) * (cdf + fabs(v) * pdf));
        if (!good)
            printf("GELU of %g: %g, not %g; gradient %g, not %g\n", v, (double)y[i], want, (double)dx[i], dwant);
        CHECK(good);
    }
    free(x16), free(dy16), free(y16), free(dx16), free(x), free(dy), free(y), free(dx);
    be->close(d);
}

static void refusals(void)
{
    CHECK(tw_backend_open("nowhere") == NULL && strstr(tw_error(), "nowhere") != NULL);
    CHECK(tw_backend_open("../x") == NULL && strstr(tw_error(), "../x") != NULL);
    CHECK(be->open(TW_F16, 1) == NULL && strstr(be->error(), "f16") != NULL);
    tw_dev *bf16 = be->open(TW_BF16, 1); /* where the processor has it */
    CHECK(bf16 != NULL || strstr(be->error(), "--precision=fp32") != NULL);
    printf("instructions: of the network: %s\n", bf16 != NULL ? "fp32, bf16" : "fp32");
    if (bf16 != NULL) {
        for (int i = 0; i < 2; i++) {
            own16 = i == 0;
            in_bf16();
        }
        gelu_in_bf16();
        pooling_in_bf16(3, 8, 6, 10);
        pooling_in_bf16(2, 7, 1, 64);
        pooling_in_bf16(2, 5, 6, 136);
        norms_and_pooling(TW_BF16);
        for (int k = 0; k < 16; k++)
            norms_in_bf16(k % 3 == 0 ? 523 : 11, k % 5 == 0 ? 530 : 24, k & 1, k & 2, k & 4);
    }
    be->close(bf16);
}

int main(void)
{
    be = tw_backend_open("cpu");
    CHECK(be != NULL);
    if (be == NULL)
        return test_done();
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    for (int threads = 1; threads <= 2; threads++) {
        dev = be->open(TW_F32, threads);
        CHECK(dev != NULL);
        be->enter(dev);
        convolutions();
        folds();
        linear(7, 20, 13);
        linear(64, 130, 70);
        linear(301, 64, 96);
        for (int k = 0; k < 16; k++)
            norms(k % 3 == 0 ? 300 : 9, k % 5 == 0 ? 530 : 12, k & 1, k & 2, k & 4, k & 8);
        running();
        pooling(3, 8, 6, 10);
        pooling(2, 7, 1, 64);
        pooling(2, 5, 6, 136);
        mean();
        elementwise();
        dropout();
        be->close(dev);
    }
    norms_and_pooling(TW_F32);
    alone(TW_F32);
    alone(TW_BF16);
    refusals();
    return test_done();
}
