/* Goal: a convolution that does passes of the norms beside it leaves what the norms and the convolution leave one after the other. Sums: against
 * f64, the operands being exact in bf16; the rest: bit for bit. And of the same bits for 1 to 3 threads. Rows that fill no block, one block and
 * several; the last ones are made twice by the products and must count once. */
#include "numbers_bf16.h"
#include "plain_conv.h"

static const tw_backend *be;

static float *numbers(size_t n)
{
    return numbers_within(n, 1);
}

typedef struct {
    tw_conv_shape s;
    int can; /* what is done for norms */
    bool relu, add, adds;
    size_t nx, ny;
    float *x, *w, *dy, *before, *norm_x;  /* before: what is in dx already */
    float *gamma, *beta, *mean, *rstd;    /* of the norm that made x */
    double *y0, *g0, *sums0, *back0;      /* wanted */
} example;

static void want_forward(example *e)
{
    const size_t K = (size_t)e->s.K;
    for (size_t i = 0; i < e->ny; i++) {
        e->sums0[i % K] += e->y0[i];
        e->sums0[K + i % K] += e->y0[i] * e->y0[i];
    }
}

/* The mask is by numbers that f32 knows exactly but for one rounding, which changes no sign. */
static void want_backward(example *e)
{
    const size_t C = (size_t)e->s.C;
    for (size_t i = 0; i < e->nx; i++) {
        const size_t c = i % C;
        e->g0[i] += e->adds ? (double)e->before[i] : 0;
        const float scale = e->rstd[c] * e->gamma[c], shift = e->beta[c] - e->mean[c] * scale;
        const double v = e->add ? (double)e->x[i] : (double)e->norm_x[i] * (double)scale + (double)shift;
        e->g0[i] = e->relu && !(v > 0) ? 0 : e->g0[i];
        e->back0[c] += e->g0[i];
        e->back0[C + c] += e->g0[i] * (double)e->norm_x[i];
    }
}

/* Sums of n numbers of either sign are off by what rounding does to them, not by parts of what is left of them. */
static double sums_off(const double *got, const double *want, int channels, double size)
{
    double most = 0;
    for (int c = 0; c < channels; c++)
        most = fmax(most, fabs(got[c] - want[c]) / size);
    return most;
}

typedef struct {
    void *y, *dx;
    double *sums, *back;
} results;

/* The maker applied before the product. x: to be overwritten. */
static void maker_applied(const example *e, tw_dev *d, tw_conv *c, const tw_norm *maker, void *x, const void *norm_x)
{
    void *x1 = tw_alloc64(2 * e->nx), *y1 = tw_alloc64(2 * e->ny), *y2 = tw_alloc64(2 * e->ny), *shortcut = tw_alloc64(2 * e->nx);
    memcpy(shortcut, x, 2 * e->nx);
    const void *added = e->add ? shortcut : NULL;
    CHECK(be->norm_apply(d, maker, x, norm_x, added) == 0 && be->conv_forward(c, y1, x) == 0);
    CHECK(be->conv_forward_norms(c, y2, x1, &(tw_conv_norms){.maker = maker, .maker_x = norm_x, .shortcut = added}) == 0);
    CHECK(memcmp(x, x1, 2 * e->nx) == 0 && memcmp(y1, y2, 2 * e->ny) == 0);
    free(x1), free(y1), free(y2), free(shortcut);
}

/* The reader's gradient made before the product: alone, and with sums behind it where there is a maker. */
static void reader_applied(const example *e, tw_dev *d, tw_conv *c, const tw_norm *maker, const void *x, const void *norm_x, const void *y,
                           const void *dy)
{
    const size_t K = (size_t)e->s.K;
    float *mean = numbers(K), *rstd = numbers(K);
    double *sums = tw_calloc(2 * K, sizeof *sums), *maker_sums = tw_calloc(2 * (size_t)e->s.C, sizeof *sums);
    for (size_t k = 0; k < 2 * K; k++)
        sums[k] = (double)mean[k % K] * (double)k;
    const int64_t rows = (int64_t)(e->ny / K);
    const tw_norm reader = {.rows = rows, .count = rows, .C = e->s.K, .relu = !e->relu, .mean = mean, .rstd = rstd, .sums = sums};
    void *dx1 = tw_alloc64(2 * e->nx), *dx2 = tw_alloc64(2 * e->nx), *dy1 = tw_alloc64(2 * e->ny), *dy2 = tw_alloc64(2 * e->ny);
    tw_conv_norms n = {.reader = &reader, .reader_x = y, .reader_dy = dy};
    CHECK(be->norm_backward_apply(d, &reader, dy1, dy, y) == 0 && be->conv_backward_data(c, dx1, dy1) == 0);
    CHECK(be->conv_backward_norms(c, dx2, dy2, &n) == 0);
    CHECK(memcmp(dx1, dx2, 2 * e->nx) == 0 && memcmp(dy1, dy2, 2 * e->ny) == 0);
    if (maker != NULL) {
        tw_norm counted = *maker;
        counted.sums = maker_sums;
        n.maker = &counted, n.maker_x = norm_x, n.maker_y = x;
        CHECK(be->conv_backward_norms(c, dx1, dy1, &(tw_conv_norms){.maker = &counted, .maker_x = norm_x, .maker_y = x}) == 0);
        CHECK(be->conv_backward_norms(c, dx2, dy2, &n) == 0);
        CHECK(memcmp(dx1, dx2, 2 * e->nx) == 0 && memcmp(dy1, dy2, 2 * e->ny) == 0);
    }
    free(mean), free(rstd), free(sums), free(maker_sums), free(dx1), free(dx2), free(dy1), free(dy2);
}

/* The maker's sums after the product, and with them the gradients of its gamma and beta. */
static void sums_behind(const example *e, results *r, tw_conv *c, const tw_norm *before, const void *x, const void *norm_x, void *dy)
{
    const int C = e->s.C;
    float *grad = tw_calloc(2 * (size_t)C, sizeof *grad);
    tw_norm maker = *before;
    maker.dgamma = grad, maker.dbeta = grad + C;
    CHECK(be->conv_backward_norms(c, r->dx, dy, &(tw_conv_norms){.maker = &maker, .maker_x = norm_x, .maker_y = x, .adds = e->adds}) == 0);
    for (int i = 0; i < C; i++) {
        const double gamma = (r->back[C + i] - (double)e->mean[i] * r->back[i]) * (double)e->rstd[i];
        CHECK(fabs((double)grad[i] - gamma) <= 1e-6 * fabs(gamma) + 1e-9 && grad[C + i] == (float)r->back[i]);
    }
    free(grad);
}

static results run(example *e, int threads)
{
    const int C = e->s.C, K = e->s.K;
    tw_dev *d = be->open(TW_BF16, threads);
    be->enter(d);
    results r = {.y = tw_alloc64(2 * e->ny), .dx = to_bf16(be, d, e->before, e->nx), .sums = tw_calloc(2 * (size_t)K, sizeof *r.sums),
                 .back = tw_calloc(2 * (size_t)C, sizeof *r.back)};
    void *x = to_bf16(be, d, e->x, e->nx), *dy = to_bf16(be, d, e->dy, e->ny), *norm_x = to_bf16(be, d, e->norm_x, e->nx);
    const int64_t rows = (int64_t)e->s.N * e->s.OH * e->s.OW;
    const tw_norm behind = {.rows = rows, .count = rows, .C = K, .sums = r.sums};
    const tw_norm before = {.rows = (int64_t)e->s.N * e->s.H * e->s.W, .C = C, .add = e->add, .relu = e->relu, .gamma = e->gamma, .beta = e->beta,
                            .mean = e->mean, .rstd = e->rstd, .sums = r.back};
    tw_conv *c = be->conv_new(d, &e->s);
    CHECK(c != NULL && be->conv_weights(c, e->w) == 0);
    const int can = be->conv_norms(d, &e->s);
    CHECK(can == e->can);
    CHECK(be->conv_forward_norms(c, r.y, x, &(tw_conv_norms){.reader = &behind}) == 0);
    if (can & TW_CONV_BACKWARD_SUMS)
        sums_behind(e, &r, c, &before, x, norm_x, dy);
    void *alone = tw_alloc64(2 * e->ny);
    CHECK(be->conv_forward(c, alone, x) == 0 && memcmp(alone, r.y, 2 * e->ny) == 0);
    if (can & TW_CONV_APPLIES)
        maker_applied(e, d, c, &before, x, norm_x);
    if (can & TW_CONV_BACKWARD_APPLIES)
        reader_applied(e, d, c, can & TW_CONV_BACKWARD_SUMS ? &before : NULL, x, norm_x, r.y, dy);
    be->conv_free(c);
    be->close(d);
    free(x), free(dy), free(norm_x), free(alone);
    return r;
}

static void results_free(results *r)
{
    free(r->y), free(r->dx), free(r->sums), free(r->back);
}

static void beside(int N, int side, int C, int K, int size, int stride, bool relu, bool add, bool adds)
{
    const int out = (side - 1) / stride + 1, pointwise = TW_CONV_SUMS | TW_CONV_BACKWARD_APPLIES, near = TW_CONV_APPLIES | TW_CONV_BACKWARD_SUMS;
    example e = {.s = {.N = N, .H = side, .W = side, .C = C, .OH = out, .OW = out, .K = K, .size = size, .stride = stride, .pad = size / 2,
                       .train = true, .data_gradient = true},
                 .can = size == 3 ? TW_CONV_SUMS | TW_CONV_BACKWARD_SUMS : stride == 1 ? pointwise | near : pointwise,
                 .relu = relu, .add = add, .adds = adds, .nx = (size_t)(N * side * side * C), .ny = (size_t)(N * out * out * K)};
    const size_t nw = (size_t)(C * K * size * size), channels = (size_t)C;
    e.x = numbers(e.nx), e.w = numbers(nw), e.dy = numbers(e.ny), e.before = numbers(e.nx), e.norm_x = numbers(e.nx);
    e.gamma = numbers(channels), e.beta = numbers(channels), e.mean = numbers(channels), e.rstd = numbers(channels);
    e.y0 = tw_calloc(e.ny, sizeof *e.y0), e.g0 = tw_calloc(e.nx, sizeof *e.g0);
    e.sums0 = tw_calloc(2 * (size_t)K, sizeof *e.sums0), e.back0 = tw_calloc(2 * channels, sizeof *e.back0);
    tw_dev *d = be->open(TW_BF16, 1);
    be->enter(d);
    free(to_bf16(be, d, e.w, nw));
    results one = run(&e, 1);
    double *dw0 = tw_calloc(nw, sizeof *dw0);
    plain_conv(&e.s, e.x, e.w, e.dy, e.y0, e.g0, dw0); /* g0: before the mask */
    free(dw0);
    want_forward(&e);
    want_backward(&e);
    CHECK(off_bf16(be, d, one.y, e.y0, e.ny) < 0x1p-8);
    CHECK(sums_off(one.sums, e.sums0, 2 * K, (double)e.ny / K * C * size * size) < 1e-6);
    if (e.can & TW_CONV_BACKWARD_SUMS) {
        CHECK(off_bf16(be, d, one.dx, e.g0, e.nx) < 0x1p-8);
        CHECK(sums_off(one.back, e.back0, 2 * C, (double)e.nx / C * K * size * size) < 1e-6);
    }
    for (int threads = 2; threads <= 3; threads++) {
        results more = run(&e, threads);
        CHECK(memcmp(one.y, more.y, 2 * e.ny) == 0 && memcmp(one.dx, more.dx, 2 * e.nx) == 0);
        CHECK(memcmp(one.sums, more.sums, 2 * (size_t)K * sizeof(double)) == 0);
        CHECK(memcmp(one.back, more.back, 2 * channels * sizeof(double)) == 0);
        results_free(&more);
    }
    results_free(&one);
    be->close(d);
    free(e.x), free(e.w), free(e.dy), free(e.before), free(e.norm_x), free(e.gamma), free(e.beta), free(e.mean), free(e.rstd);
    free(e.y0), free(e.g0), free(e.sums0), free(e.back0);
}

int main(void)
{
    be = tw_backend_open("cpu");
    CHECK(be != NULL);
    tw_dev *d = be != NULL ? be->open(TW_BF16, 1) : NULL;
    const tw_conv_shape any = {.N = 2, .H = 8, .W = 8, .C = 32, .OH = 8, .OW = 8, .K = 32, .size = 1, .stride = 1, .train = true};
    CHECK(d != NULL);
    const bool together = d != NULL && be->conv_norms(d, &any) != 0;
    if (d != NULL)
        be->close(d);
    if (!together)
        test_skip("nothing is done for norms on this processor");
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    beside(2, 7, 64, 96, 1, 1, true, true, true);
    beside(3, 3, 32, 64, 1, 1, true, false, false);
    beside(1, 3, 32, 32, 1, 1, true, true, true);
    beside(3, 15, 96, 32, 1, 1, true, true, true);
    beside(4, 14, 64, 128, 1, 1, true, false, false);
    beside(5, 6, 640, 32, 1, 1, true, true, true);
    beside(2, 11, 32, 32, 1, 1, false, false, false);
    beside(2, 11, 32, 32, 1, 1, false, true, true);
    beside(2, 11, 32, 32, 1, 1, true, false, true);
    beside(2, 11, 32, 32, 1, 1, true, true, false);
    beside(5, 9, 64, 32, 1, 2, true, true, true);
    beside(3, 16, 32, 96, 1, 2, true, false, false);
    beside(3, 9, 64, 32, 3, 2, true, false, false);
    beside(2, 16, 32, 96, 3, 2, true, true, true);
    beside(2, 5, 480, 64, 3, 2, false, false, true);
    return test_done();
}
