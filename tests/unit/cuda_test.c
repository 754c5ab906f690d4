/* Goal: each operation of the CUDA backend gives what the CPU backend gives, in every type of activations, at shapes that hit every
 * edge. Runs on a GPU where libtwist-cuda.so finds one; in `make check` on the emulation beside this program (tests/emulate). */
#include "cuda_test.h"

#include "train/loss.h"
#include "train/optim.h"
#include "train/selflabel.h"

static const tw_backend *cpu, *gpu;
static tw_dev *c, *g;
static tw_dtype type;
static tw_rng rng;

/* What a number of the type is off by after one rounding, and some slack for sums in another order. */
static double tolerance(void)
{
    return type == TW_F32 ? 2e-5 : type == TW_F16 ? 2e-3 : 1.2e-2;
}

/* Random numbers that the type has. */
static float *numbers(size_t n)
{
    float *x = tw_alloc64(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((int)tw_rng_below(&rng, 256) - 128) / 128; /* eight bits: exact in every type */
    return x;
}

/* The same numbers as activations, as f32 in device memory. */
static void *activations(const float *x, size_t n)
{
    void *y = gpu->alloc(g, n * tw_dtype_size(type));
    CHECK(y != NULL && gpu->from_f32(g, y, x, n) == 0);
    return y;
}

static float *plain(const float *x, size_t n)
{
    float *y = gpu->alloc(g, n * sizeof *y);
    CHECK(y != NULL && gpu->upload(g, y, x, n * sizeof *y) == 0);
    return y;
}

static void near_numbers(const char *what, const float *got, const float *want, size_t n, double tol)
{
    double worst = 0, size = 1e-30;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, isfinite(got[i]) ? fabs((double)got[i] - (double)want[i]) : INFINITY);
        size = fmax(size, fabs((double)want[i]));
    }
    if (!(worst / size <= tol))
        printf("%s, %s: off by %.2g\n", what, tw_dtype_name(type), worst / size);
    CHECK(worst / size <= tol);
    if (tw_report != NULL)
        fprintf(tw_report, "%s\t%s\t%.3g\t%.3g\n", what, tw_dtype_name(type), worst / size, tol);
}

/* Device memory against host memory; y is released. */
static void same_activations(const char *what, void *y, const float *want, size_t n)
{
    float *got = tw_alloc64(n * sizeof *got);
    CHECK(gpu->to_f32(g, got, y, n) == 0);
    near_numbers(what, got, want, n, tolerance());
    free(got);
    gpu->release(g, y);
}

static void same_plain(const char *what, float *y, const float *want, size_t n, double tol)
{
    float *got = tw_alloc64(n * sizeof *got);
    CHECK(gpu->download(g, got, y, n * sizeof *got) == 0);
    near_numbers(what, got, want, n, tol);
    free(got);
    gpu->release(g, y);
}

static void conv(int N, int H, int W, int C, int K, int size, int stride)
{
    const int pad = size / 2;
    const tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 * pad - size) / stride + 1,
                             .OW = (W + 2 * pad - size) / stride + 1, .K = K, .size = size, .stride = stride, .pad = pad,
                             .train = true, .data_gradient = true};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *dy = numbers(ny), *dw = numbers(nw);
    void *gx = activations(x, nx), *gdy = activations(dy, ny), *gy = activations(dy, ny), *gdx = activations(x, nx);
    float *gw = plain(w, nw), *gdw = plain(dw, nw), *y = numbers(ny), *dx = numbers(nx);
    tw_conv *a = cpu->conv_new(c, &s), *b = gpu->conv_new(g, &s);
    CHECK(a != NULL);
    if (b == NULL)
        printf("%s\n", gpu->error());
    CHECK(b != NULL);
    CHECK(cpu->conv_weights(a, w) == 0 && cpu->conv_forward(a, y, x) == 0);
    CHECK(cpu->conv_backward_data(a, dx, dy) == 0 && cpu->conv_backward_weights(a, dw, x, dy) == 0);
    CHECK(gpu->conv_weights(b, gw) == 0 && gpu->conv_forward(b, gy, gx) == 0);
    CHECK(gpu->conv_backward_data(b, gdx, gdy) == 0 && gpu->conv_backward_weights(b, gdw, gx, gdy) == 0);
    same_activations("convolution", gy, y, ny);
    same_activations("convolution, data gradient", gdx, dx, nx);
    same_plain("convolution, weight gradient", gdw, dw, nw, tolerance());
    cpu->conv_free(a);
    gpu->conv_free(b);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gw);
    free(x), free(w), free(dy), free(dw), free(y), free(dx);
}

/* The sums of a norm found with the convolution that it reads, where that is offered (in fp16), against those of the host's result. */
static void with_sums(int N, int H, int W, int C, int K, int size, int stride)
{
    const int pad = size / 2;
    const tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 * pad - size) / stride + 1,
                             .OW = (W + 2 * pad - size) / stride + 1, .K = K, .size = size, .stride = stride, .pad = pad, .train = true};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    const int rows = N * s.OH * s.OW;
    CHECK(gpu->conv_norms(g, &s) == (type == TW_F16 ? TW_CONV_SUMS : 0));
    if (type != TW_F16)
        return;
    float *x = numbers(nx), *w = numbers(nw), *y = numbers(ny);
    void *gx = activations(x, nx), *gy = activations(y, ny);
    float *gw = plain(w, nw);
    double *sums = tw_calloc(2 * (size_t)K, sizeof *sums), *got = tw_calloc(2 * (size_t)K, sizeof *got);
    double *gsums = gpu->alloc(g, 2 * (size_t)K * sizeof *gsums);
    const tw_norm a = {.rows = rows, .C = K, .sums = sums}, b = {.rows = rows, .C = K, .sums = gsums}; /* the sums alone */
    tw_conv *host = cpu->conv_new(c, &s), *device = gpu->conv_new(g, &s);
    CHECK(host != NULL && device != NULL);
    CHECK(cpu->conv_weights(host, w) == 0 && cpu->conv_forward(host, y, x) == 0 && cpu->norm_sums(c, &a, y) == 0);
    CHECK(gpu->conv_weights(device, gw) == 0);
    for (int i = 0; i < 2; i++) /* the second time the sums begin at nothing too */
        CHECK(gpu->conv_forward_norms(device, gy, gx, &(tw_conv_norms){.reader = &b}) == 0);
    CHECK(gpu->download(g, got, gsums, 2 * (size_t)K * sizeof *got) == 0);
    for (int k = 0; k < K; k++) { /* of rows numbers about 1 in size, each a little off */
        CHECK(fabs(got[k] - sums[k]) < tolerance() * rows);
        CHECK(fabs(got[K + k] - sums[K + k]) < 2 * tolerance() * (sums[K + k] + rows));
    }
    same_activations("convolution with sums", gy, y, ny);
    cpu->conv_free(host);
    gpu->conv_free(device);
    gpu->release(g, gx), gpu->release(g, gw), gpu->release(g, gsums);
    free(x), free(w), free(y), free(sums), free(got);
}

/* A convolution that makes what a norm and its ReLU make of the input (how: TW_CONV_THROUGH: while it reads, also for its weights; TW_CONV_APPLIES:
 * with a shortcut, and kept), where that is offered (in fp16), and where there is no plan for it; against the host's, which is told no norm. */
static void with_maker(int how, int N, int H, int W, int C, int K, int size, int stride, bool offered)
{
    const int pad = size / 2;
    const bool keeps = how == TW_CONV_APPLIES;
    tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 * pad - size) / stride + 1, .OW = (W + 2 * pad - size) / stride + 1, .K = K,
                       .size = size, .stride = stride, .pad = pad, .train = true, .add = keeps, .relu = true, .norms = how};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    const int rows = N * s.OH * s.OW;
    const bool card = emulated("emu_last_plan") == NULL;
    const bool given = getenv("TWIST_TOGETHER") != NULL;
    if (card && !given) /* what is small is faster apart, and would not be tested */
        setenv("TWIST_TOGETHER", keeps ? "applied" : "through", 1);
    const int can = gpu->conv_norms(g, &s);
    CHECK((can & ~how) == (type == TW_F16 ? TW_CONV_SUMS : 0));
    CHECK(card || (can & how) == (type == TW_F16 && offered ? how : 0));
    if (card && type == TW_F16 && offered && (can & how) == 0)
        printf("no plan for a norm %s %d x %d, %d to %d channels\n", keeps ? "applied before" : "read through by", size, size, C, K);
    float *x = numbers(nx), *z = numbers(nx), *made = numbers(nx), *w = numbers(nw), *dw = numbers(nw), *y = numbers(ny), *dy = numbers(ny);
    float *v = numbers(4 * (size_t)C);
    for (int k = 0; k < C; k++)
        v[3 * C + k] = 1 + v[3 * C + k] / 2; /* rstd */
    void *gx = activations(x, nx), *gz = activations(z, nx), *gdy = activations(dy, ny), *gy = activations(y, ny), *gmade = activations(made, nx);
    float *gw = plain(w, nw), *gdw = plain(dw, nw), *gv = plain(v, 4 * (size_t)C);
    double *sums = tw_calloc(2 * (size_t)K, sizeof *sums), *got = tw_calloc(2 * (size_t)K, sizeof *got);
    double *gsums = gpu->alloc(g, 2 * (size_t)K * sizeof *gsums);
    const tw_norm reader = {.rows = rows, .C = K, .sums = sums}, greader = {.rows = rows, .C = K, .sums = gsums}; /* the sums alone */
    const tw_norm maker = {.rows = (int64_t)N * H * W, .C = C, .add = keeps, .relu = true, .gamma = v, .beta = v + C, .mean = v + 2 * C, .rstd = v + 3 * C};
    tw_norm gmaker = maker;
    gmaker.gamma = gv, gmaker.beta = gv + C, gmaker.mean = gv + 2 * C, gmaker.rstd = gv + 3 * C;
    const tw_conv_norms n = {.maker = &gmaker, .maker_x = gx, .shortcut = keeps ? gz : NULL, .reader = &greader};
    s.norms = can & how;
    tw_conv *host = cpu->conv_new(c, &s), *device = gpu->conv_new(g, &s);
    CHECK(host != NULL && device != NULL);
    CHECK(cpu->norm_apply(c, &maker, made, x, keeps ? z : NULL) == 0);
    CHECK(cpu->conv_weights(host, w) == 0 && cpu->conv_forward(host, y, made) == 0 && cpu->norm_sums(c, &reader, y) == 0);
    CHECK(cpu->conv_backward_weights(host, dw, made, dy) == 0);
    CHECK(gpu->conv_weights(device, gw) == 0 && gpu->conv_forward_norms(device, gy, keeps ? gmade : NULL, &n) == 0);
    CHECK((keeps ? gpu->conv_backward_weights(device, gdw, gmade, gdy) : gpu->conv_backward_weights_through(device, gdw, gdy, &n)) == 0);
    CHECK(gpu->download(g, got, gsums, 2 * (size_t)K * sizeof *got) == 0);
    for (int k = 0; k < K; k++) {
        CHECK(fabs(got[k] - sums[k]) < 2 * tolerance() * rows);
        CHECK(fabs(got[K + k] - sums[K + k]) < 4 * tolerance() * (sums[K + k] + rows));
    }
    if (keeps)
        same_activations("norm applied with the convolution that reads it", gmade, made, nx);
    else
        gpu->release(g, gmade);
    same_activations("convolution with the norm before it", gy, y, ny);
    same_plain("convolution with the norm before it, weight gradient", gdw, dw, nw, tolerance());
    cpu->conv_free(host);
    gpu->conv_free(device);
    gpu->release(g, gx), gpu->release(g, gz), gpu->release(g, gdy), gpu->release(g, gw), gpu->release(g, gv), gpu->release(g, gsums);
    free(x), free(z), free(made), free(w), free(dw), free(y), free(dy), free(v), free(sums), free(got);
    if (card && !given)
        unsetenv("TWIST_TOGETHER");
}

/* Convolution, norm of running statistics, shortcut and ReLU at once. */
static void folded(int N, int H, int W, int C, int K, int size, int stride, bool add, bool relu, bool affine)
{
    const int pad = size / 2;
    const tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 * pad - size) / stride + 1,
                             .OW = (W + 2 * pad - size) / stride + 1, .K = K, .size = size, .stride = stride, .pad = pad, .folded = true,
                             .add = add, .relu = relu};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *z = numbers(ny), *y = numbers(ny), *v = numbers(4 * (size_t)K);
    for (int k = 0; k < K; k++)
        v[3 * K + k] = 1 + v[3 * K + k] / 2; /* variance */
    void *gx = activations(x, nx), *gz = activations(z, ny), *gy = activations(y, ny);
    float *gw = plain(w, nw), *gv = plain(v, 4 * (size_t)K);
    const tw_norm a = {.C = K, .gamma = affine ? v : NULL, .beta = affine ? v + K : NULL, .running_mean = v + 2 * K, .running_var = v + 3 * K};
    const tw_norm b = {.C = K, .gamma = affine ? gv : NULL, .beta = affine ? gv + K : NULL, .running_mean = gv + 2 * K, .running_var = gv + 3 * K};
    tw_conv *host = cpu->conv_new(c, &s), *device = gpu->conv_new(g, &s);
    CHECK(host != NULL);
    if (device == NULL)
        printf("%s\n", gpu->error());
    CHECK(device != NULL);
    CHECK(cpu->conv_fold(host, w, &a) == 0 && cpu->conv_folded(host, y, x, add ? z : NULL) == 0);
    CHECK(gpu->conv_fold(device, gw, &b) == 0 && gpu->conv_folded(device, gy, gx, add ? gz : NULL) == 0);
    same_activations("folded convolution", gy, y, ny);
    cpu->conv_free(host);
    gpu->conv_free(device);
    gpu->release(g, gx), gpu->release(g, gz), gpu->release(g, gw), gpu->release(g, gv);
    free(x), free(w), free(z), free(y), free(v);
}

/* Windows side by side. */
static void patches(int N, int H, int W, int C, int K, int size)
{
    const tw_conv_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H - size) / size + 1, .OW = (W - size) / size + 1, .K = K, .size = size,
                             .stride = size, .train = true, .data_gradient = true};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * K), nw = (size_t)(K * C * size * size);
    float *x = numbers(nx), *w = numbers(nw), *dy = numbers(ny), *dw = numbers(nw), *y = numbers(ny), *dx = numbers(nx);
    void *gx = activations(x, nx), *gdy = activations(dy, ny), *gy = activations(dy, ny), *gdx = activations(x, nx);
    float *gw = plain(w, nw), *gdw = plain(dw, nw);
    tw_conv *a = cpu->conv_new(c, &s), *b = gpu->conv_new(g, &s);
    CHECK(a != NULL && b != NULL);
    CHECK(cpu->conv_weights(a, w) == 0 && cpu->conv_forward(a, y, x) == 0 && cpu->conv_backward_weights(a, dw, x, dy) == 0);
    CHECK(gpu->conv_weights(b, gw) == 0 && gpu->conv_forward(b, gy, gx) == 0 && gpu->conv_backward_weights(b, gdw, gx, gdy) == 0);
    CHECK(cpu->conv_backward_data(a, dx, dy) == 0 && gpu->conv_backward_data(b, gdx, gdy) == 0);
    same_activations("patches", gy, y, ny);
    same_activations("patches, data gradient", gdx, dx, nx);
    same_plain("patches, weight gradient", gdw, dw, nw, tolerance());
    cpu->conv_free(a);
    gpu->conv_free(b);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gw);
    free(x), free(w), free(dy), free(dw), free(y), free(dx);
}

static void linear(int rows, int C, int K)
{
    const size_t nx = (size_t)(rows * C), ny = (size_t)(rows * K), nw = (size_t)(K * C), nb = (size_t)K;
    float *x = numbers(nx), *w = numbers(nw), *b = numbers(nb), *dy = numbers(ny), *y = numbers(ny), *dx = numbers(nx);
    float *dw = numbers(nw), *db = numbers(nb);
    void *gx = activations(x, nx), *gdy = activations(dy, ny), *gy = activations(y, ny), *gdx = activations(x, nx);
    float *gw = plain(w, nw), *gb = plain(b, nb), *gdw = plain(dw, nw), *gdb = plain(db, nb);
    tw_linear *a = cpu->linear_new(c, rows, C, K, true), *l = gpu->linear_new(g, rows, C, K, true);
    CHECK(a != NULL && l != NULL);
    CHECK(cpu->linear_weights(a, w, b) == 0 && cpu->linear_forward(a, y, x) == 0);
    CHECK(cpu->linear_backward_data(a, dx, dy) == 0 && cpu->linear_backward_weights(a, dw, db, x, dy) == 0);
    CHECK(gpu->linear_weights(l, gw, gb) == 0 && gpu->linear_forward(l, gy, gx) == 0);
    CHECK(gpu->linear_backward_data(l, gdx, gdy) == 0 && gpu->linear_backward_weights(l, gdw, gdb, gx, gdy) == 0);
    same_activations("linear", gy, y, ny);
    same_activations("linear, data gradient", gdx, dx, nx);
    same_plain("linear, weight gradient", gdw, dw, nw, 2e-5);
    same_plain("linear, bias gradient", gdb, db, nb, 2e-5);
    cpu->linear_free(a);
    gpu->linear_free(l);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gw), gpu->release(g, gb);
    free(x), free(w), free(b), free(dy), free(y), free(dx), free(dw), free(db);
}

/* With a shortcut, and with the GELU behind it or before it, as one after the other. */
static void linear_beside(int rows, int C, int K, bool train)
{
    const size_t nx = (size_t)(rows * C), ny = (size_t)(rows * K), nw = (size_t)(K * C), nb = (size_t)K;
    float *x = numbers(nx), *w = numbers(nw), *b = numbers(nb), *s = numbers(ny), *y = numbers(ny), *z = numbers(ny), *dx = numbers(nx);
    void *gx = activations(x, nx), *gs = activations(s, ny), *gy = activations(y, ny), *gz = activations(z, ny), *gsum = activations(z, ny);
    void *gdx = activations(dx, nx);
    float *gw = plain(w, nw), *gb = plain(b, nb);
    tw_linear *a = cpu->linear_new(c, rows, C, K, train), *l = gpu->linear_new(g, rows, C, K, train);
    CHECK(a != NULL && l != NULL);
    CHECK(cpu->linear_weights(a, w, b) == 0 && gpu->linear_weights(l, gw, gb) == 0);
    CHECK(cpu->linear_forward(a, y, x) == 0 && cpu->gelu_forward(c, z, y, ny) == 0);
    CHECK(gpu->linear_forward_gelu(l, gz, gy, gx) == 0 && gpu->linear_forward_add(l, gsum, gx, gs) == 0);
    same_activations("linear, GELU", gz, z, ny);
    if (train) {
        CHECK(cpu->linear_backward_data(a, dx, s) == 0 && cpu->gelu_backward(c, dx, dx, x, nx) == 0);
        CHECK(gpu->linear_backward_gelu(l, gdx, gs, gx) == 0);
        same_activations("linear, data gradient through the GELU before it", gdx, dx, nx);
        same_activations("linear, before its GELU", gy, y, ny);
    } else {
        gpu->release(g, gdx), gpu->release(g, gy);
    }
    CHECK(cpu->add(c, y, s, ny) == 0);
    same_activations("linear and shortcut", gsum, y, ny);
    cpu->linear_free(a);
    gpu->linear_free(l);
    gpu->release(g, gx), gpu->release(g, gs), gpu->release(g, gw), gpu->release(g, gb);
    free(x), free(w), free(b), free(s), free(y), free(z), free(dx);
}

/* One norm, on the CPU (f32 [C] each in block) or in device memory. */
static tw_norm norm_on(float *block, double *sums, int64_t rows, int C, bool affine, bool add, bool relu)
{
    return (tw_norm){.rows = rows, .count = rows, .C = C, .add = add, .relu = relu, .gamma = affine ? block : NULL, .beta = affine ? block + C : NULL,
                     .running_mean = block + 2 * C, .running_var = block + 3 * C, .mean = block + 4 * C, .rstd = block + 5 * C,
                     .sums = sums};
}

/* Of a block of 8 C. */
static void with_gradients(tw_norm *n, float *block)
{
    n->dgamma = n->gamma != NULL ? block + 6 * n->C : NULL;
    n->dbeta = n->gamma != NULL ? block + 7 * n->C : NULL;
}

static void norm(int ranks, int rows, int C, bool affine, bool relu, bool add, bool two)
{
    const size_t n = (size_t)rows * (size_t)C, block = 8 * (size_t)C;
    float *x = numbers(n), *s = numbers(n), *dy = numbers(n), *dy2 = numbers(n), *y = numbers(n), *dx = numbers(n), *v = numbers(block);
    for (int i = 0; i < C; i++)
        v[3 * C + i] = 1 + v[3 * C + i] / 2; /* running variance */
    void *gx = activations(x, n), *gs = activations(s, n), *gdy = activations(dy, n), *gdy2 = activations(dy2, n);
    void *gy = activations(y, n), *gdx = activations(dx, n);
    float *gv = plain(v, block);
    double *sums = tw_calloc(2 * (size_t)C, sizeof *sums), *gsums = gpu->alloc(g, 2 * (size_t)C * sizeof *sums);
    tw_norm a = norm_on(v, sums, rows, C, affine, add, relu), b = norm_on(gv, gsums, rows, C, affine, add, relu);
    a.count = b.count = ranks * rows; /* more than one: as if the others had nothing but zeros */
    with_gradients(&a, v), with_gradients(&b, gv);
    CHECK(cpu->norm_sums(c, &a, x) == 0 && cpu->norm_statistics(c, &a) == 0 && cpu->norm_apply(c, &a, y, x, add ? s : NULL) == 0);
    CHECK(gpu->norm_sums(g, &b, gx) == 0 && gpu->norm_statistics(g, &b) == 0 && gpu->norm_apply(g, &b, gy, gx, add ? gs : NULL) == 0);
    float *result = numbers(n); /* the mask of the ReLU must be the same on both sides */
    CHECK(gpu->to_f32(g, result, gy, n) == 0);
    near_numbers("norm", result, y, n, tolerance());
    CHECK(cpu->norm_backward_sums(c, &a, dy, two ? dy2 : NULL, result, x) == 0);
    CHECK(gpu->norm_backward_sums(g, &b, gdy, two ? gdy2 : NULL, gy, gx) == 0);
    CHECK(cpu->norm_backward_apply(c, &a, dx, dy, x) == 0 && gpu->norm_backward_apply(g, &b, gdx, gdy, gx) == 0);
    if (add)
        same_activations("norm, gradient of the shortcut", gdy, dy, n);
    else
        gpu->release(g, gdy);
    same_activations("norm, data gradient", gdx, dx, n);
    same_plain("norm, statistics and parameters", gv, v, block, tolerance());
    gpu->release(g, gx), gpu->release(g, gs), gpu->release(g, gdy2), gpu->release(g, gy), gpu->release(g, gsums);
    free(x), free(s), free(dy), free(dy2), free(y), free(dx), free(v), free(sums), free(result);
}

static bool same_on_device(const void *a, const void *b, size_t bytes)
{
    char *p = malloc(bytes), *q = malloc(bytes);
    const bool same = gpu->download(g, p, a, bytes) == 0 && gpu->download(g, q, b, bytes) == 0 && memcmp(p, q, bytes) == 0;
    free(p), free(q);
    return same;
}

/* With a mask in the place of the result: the same bytes. */
static void norm_mask(int rows, int C, bool two)
{
    const size_t n = (size_t)rows * (size_t)C, block = 6 * (size_t)C, bytes = n * tw_dtype_size(type), sums = 2 * (size_t)C * sizeof(double);
    float *x = numbers(n), *s = numbers(n), *dy = numbers(n), *dy2 = numbers(n), *v = numbers(block);
    void *gx = activations(x, n), *gs = activations(s, n), *gdy = activations(dy, n), *masked = activations(dy, n), *gdy2 = activations(dy2, n);
    void *gy = gpu->alloc(g, bytes), *gy1 = gpu->alloc(g, bytes);
    float *gv = plain(v, block);
    double *gsums = gpu->alloc(g, sums), *apart = gpu->alloc(g, sums);
    tw_norm b = norm_on(gv, gsums, rows, C, true, true, true);
    CHECK(gpu->norm_sums(g, &b, gx) == 0 && gpu->norm_statistics(g, &b) == 0 && gpu->norm_apply(g, &b, gy, gx, gs) == 0);
    CHECK(gpu->norm_backward_sums(g, &b, gdy, two ? gdy2 : NULL, gy, gx) == 0 && gpu->copy(g, apart, gsums, sums) == 0);
    b.mask = gpu->alloc(g, gpu->norm_mask_bytes(g, rows, C));
    CHECK(gpu->norm_apply(g, &b, gy1, gx, gs) == 0 && gpu->norm_backward_sums(g, &b, masked, two ? gdy2 : NULL, NULL, gx) == 0);
    CHECK(same_on_device(gy, gy1, bytes) && same_on_device(gdy, masked, bytes) && same_on_device(gsums, apart, sums));
    gpu->release(g, gx), gpu->release(g, gs), gpu->release(g, gdy), gpu->release(g, masked), gpu->release(g, gdy2), gpu->release(g, gy);
    gpu->release(g, gy1), gpu->release(g, gv), gpu->release(g, gsums), gpu->release(g, apart), gpu->release(g, b.mask);
    free(x), free(s), free(dy), free(dy2), free(v);
}

/* A shortcut that a norm makes on the way. */
static void norm_two(int rows, int C, bool relu, bool masked)
{
    const size_t n = (size_t)rows * (size_t)C, block = 6 * (size_t)C;
    float *x = numbers(n), *s = numbers(n), *y = numbers(n), *made = numbers(n), *v = numbers(2 * block);
    for (size_t i = 0; i < 2 * block; i++)
        v[i] = i / (size_t)C % 6 == 3 ? 1 + v[i] / 2 : v[i];
    void *gx = activations(x, n), *gs = activations(s, n), *gy = activations(y, n);
    float *gv = plain(v, 2 * block);
    const tw_norm a = norm_on(v, NULL, rows, C, true, true, relu), aside = norm_on(v + block, NULL, rows, C, true, false, false);
    tw_norm b = norm_on(gv, NULL, rows, C, true, true, relu);
    const tw_norm gaside = norm_on(gv + block, NULL, rows, C, true, false, false);
    const size_t bytes = masked ? gpu->norm_mask_bytes(g, rows, C) : 0;
    b.mask = masked ? gpu->alloc(g, bytes) : NULL;
    CHECK(cpu->norm_running(c, &a) == 0 && cpu->norm_running(c, &aside) == 0);
    CHECK(cpu->norm_apply(c, &aside, made, s, NULL) == 0 && cpu->norm_apply(c, &a, y, x, made) == 0);
    CHECK(gpu->norm_running(g, &b) == 0 && gpu->norm_running(g, &gaside) == 0 && gpu->norm_apply_two(g, &b, gy, gx, &gaside, gs) == 0);
    if (masked) { /* as of the sum made by a norm that does nothing */
        float *one = plain(v, 6 * (size_t)C);
        void *zeros = gpu->alloc(g, n * tw_dtype_size(type)), *again = gpu->alloc(g, n * tw_dtype_size(type));
        uint8_t *mask = gpu->alloc(g, bytes), *with = b.mask;
        tw_norm nothing = norm_on(one, NULL, rows, C, false, true, true);
        nothing.mask = mask;
        float *stats = tw_calloc(2 * (size_t)C, sizeof *stats);
        for (int i = C; i < 2 * C; i++)
            stats[i] = 1;
        CHECK(gpu->upload(g, nothing.mean, stats, 2 * (size_t)C * sizeof *stats) == 0 && gpu->norm_apply(g, &nothing, again, gy, zeros) == 0);
        CHECK(same_on_device(again, gy, n * tw_dtype_size(type)) && same_on_device(mask, with, bytes));
        gpu->release(g, one), gpu->release(g, zeros), gpu->release(g, again), gpu->release(g, mask);
        free(stats);
    }
    same_activations("norm and that of the shortcut", gy, y, n);
    gpu->release(g, gx), gpu->release(g, gs), gpu->release(g, gv), gpu->release(g, b.mask);
    free(x), free(s), free(y), free(made), free(v);
}

static void layer_norm(int rows, int C, bool adds)
{
    const size_t n = (size_t)(rows * C);
    float *x = numbers(n), *y = numbers(n), *dy = numbers(n), *dx = numbers(n), *v = numbers(4 * (size_t)C);
    float *stats = tw_calloc(2 * (size_t)rows, sizeof *stats);
    void *gx = activations(x, n), *gy = activations(y, n), *gdy = activations(dy, n), *gdx = activations(dx, n);
    float *gv = plain(v, 4 * (size_t)C), *gstats = plain(stats, 2 * (size_t)rows);
    const tw_layer_norm a = {rows, C, 1e-6, v, v + C, stats, stats + rows, adds}, b = {rows, C, 1e-6, gv, gv + C, gstats, gstats + rows, adds};
    CHECK(cpu->layer_norm_forward(c, &a, y, x) == 0 && gpu->layer_norm_forward(g, &b, gy, gx) == 0);
    CHECK(cpu->layer_norm_backward(c, &a, dx, v + 2 * C, v + 3 * C, dy, x) == 0);
    CHECK(gpu->layer_norm_backward(g, &b, gdx, gv + 2 * C, gv + 3 * C, gdy, gx) == 0);
    same_activations("layer norm", gy, y, n);
    same_activations("layer norm, data gradient", gdx, dx, n);
    same_plain("layer norm, parameters", gv, v, 4 * (size_t)C, 2e-5);
    same_plain("layer norm, statistics", gstats, stats, 2 * (size_t)rows, 2e-5);
    gpu->release(g, gx), gpu->release(g, gdy);
    free(x), free(y), free(dy), free(dx), free(v), free(stats);
}

static void running(int rows, int C)
{
    const size_t n = (size_t)(rows * C), block = 6 * (size_t)C;
    float *x = numbers(n), *y = numbers(n), *v = numbers(block);
    for (size_t i = 0; i < block; i++)
        v[i] = fabsf(v[i]) + 0.5f;
    void *gx = activations(x, n), *gy = activations(y, n);
    float *gv = plain(v, block);
    const tw_norm a = norm_on(v, NULL, rows, C, true, false, true), b = norm_on(gv, NULL, rows, C, true, false, true);
    CHECK(cpu->norm_running(c, &a) == 0 && cpu->norm_apply(c, &a, y, x, NULL) == 0);
    CHECK(gpu->norm_running(g, &b) == 0 && gpu->norm_apply(g, &b, gy, gx, NULL) == 0);
    same_activations("norm of running statistics", gy, y, n);
    gpu->release(g, gx), gpu->release(g, gv);
    free(x), free(y), free(v);
}

static void pooling(int N, int H, int W, int C)
{
    const tw_pool_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H + 2 - 3) / 2 + 1, .OW = (W + 2 - 3) / 2 + 1, .size = 3, .stride = 2,
                             .pad = 1};
    const size_t nx = (size_t)N * (size_t)(H * W * C), ny = (size_t)N * (size_t)(s.OH * s.OW * C);
    float *x = numbers(nx), *y = numbers(ny);
    uint8_t *pick = malloc(ny), *got = malloc(ny), *gpick = gpu->alloc(g, ny);
    void *gx = activations(x, nx), *gy = activations(y, ny);
    CHECK(cpu->max_forward(c, &s, y, pick, x) == 0 && gpu->max_forward(g, &s, gy, gpick, gx) == 0);
    CHECK(gpu->download(g, got, gpick, ny) == 0 && memcmp(got, pick, ny) == 0);
    same_activations("max pool", gy, y, ny);
    gpu->release(g, gx), gpu->release(g, gpick);
    free(x), free(y), free(pick), free(got);
}

/* Where the norm makes 0, no gradient comes through, and any pixel of the window may be picked. */
static void norm_and_pooling(int ranks, int N, int H, int W, int C)
{
    const tw_pool_shape s = {.N = N, .H = H, .W = W, .C = C, .OH = (H - 1) / 2 + 1, .OW = (W - 1) / 2 + 1, .size = 3, .stride = 2, .pad = 1};
    const int rows = N * H * W;
    const size_t nx = (size_t)rows * (size_t)C, ny = (size_t)N * (size_t)(s.OH * s.OW * C), block = 8 * (size_t)C;
    float *x = numbers(nx), *y = numbers(ny), *dx = numbers(nx), *dy = numbers(ny), *v = numbers(block);
    for (int i = 0; i < C; i++)
        v[3 * C + i] = 1 + v[3 * C + i] / 2;
    v[C / 2] = 0; /* a gamma of 0: all pixels are the same */
    v[3 * C / 2] = 0.5f;
    uint8_t *pick = malloc(ny), *got = malloc(ny), *gpick = gpu->alloc(g, ny);
    void *gx = activations(x, nx), *gy = activations(y, ny), *gdx = activations(dx, nx), *gdy = activations(dy, ny);
    float *gv = plain(v, block);
    double *sums = tw_calloc(2 * (size_t)C, sizeof *sums), *gsums = gpu->alloc(g, 2 * (size_t)C * sizeof *sums);
    tw_norm a = norm_on(v, sums, rows, C, true, false, true), b = norm_on(gv, gsums, rows, C, true, false, true);
    a.count = b.count = ranks * rows;
    with_gradients(&a, v), with_gradients(&b, gv);
    CHECK(cpu->norm_sums(c, &a, x) == 0 && cpu->norm_statistics(c, &a) == 0 && cpu->norm_max_forward(c, &a, &s, y, pick, x) == 0);
    CHECK(gpu->norm_sums(g, &b, gx) == 0 && gpu->norm_statistics(g, &b) == 0 && gpu->norm_max_forward(g, &b, &s, gy, gpick, gx) == 0);
    CHECK(gpu->download(g, got, gpick, ny) == 0);
    size_t other = 0;
    for (size_t i = 0; i < ny; i++)
        other += y[i] > 0 && got[i] != pick[i];
    CHECK(other == 0);
    CHECK(cpu->norm_max_backward_sums(c, &a, &s, pick, dy, x) == 0 && gpu->norm_max_backward_sums(g, &b, &s, gpick, gdy, gx) == 0);
    CHECK(cpu->norm_max_backward_apply(c, &a, &s, dx, pick, dy, x) == 0 && gpu->norm_max_backward_apply(g, &b, &s, gdx, gpick, gdy, gx) == 0);
    same_activations("norm and max pool", gy, y, ny);
    same_activations("norm and max pool, gradient", gdx, dx, nx);
    same_plain("norm and max pool, statistics and parameters", gv, v, block, tolerance());
    const tw_pool_shape odd = {.N = N, .H = H, .W = W, .C = C, .OH = H, .OW = W, .size = 3, .stride = 1, .pad = 1};
    CHECK(gpu->norm_max_forward(g, &b, &odd, NULL, gpick, gx) != 0 && strstr(gpu->error(), "3 x 3 pixels, stride 1") != NULL);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gpick), gpu->release(g, gsums);
    free(x), free(y), free(dx), free(dy), free(v), free(pick), free(got), free(sums);
}

static void mean(int N, int HW, int C)
{
    const size_t nx = (size_t)(N * HW * C), ny = (size_t)(N * C);
    float *x = numbers(nx), *y = numbers(ny), *dx = numbers(nx), *dy = numbers(ny);
    void *gx = activations(x, nx), *gy = activations(y, ny), *gdx = activations(dx, nx), *gdy = activations(dy, ny);
    CHECK(cpu->mean_forward(c, y, x, N, HW, C) == 0 && cpu->mean_backward(c, dx, dy, N, HW, C) == 0);
    CHECK(gpu->mean_forward(g, gy, gx, N, HW, C) == 0 && gpu->mean_backward(g, gdx, gdy, N, HW, C) == 0);
    same_activations("mean", gy, y, ny);
    same_activations("mean, gradient", gdx, dx, nx);
    gpu->release(g, gx), gpu->release(g, gdy);
    free(x), free(y), free(dx), free(dy);
}

static void elementwise(size_t n)
{
    float *x = numbers(n), *y = numbers(n), *dy = numbers(n), *z = numbers(n);
    void *gx = activations(x, n), *gy = activations(y, n), *gdy = activations(dy, n), *gz = activations(z, n), *gd = activations(z, n);
    CHECK(cpu->add(c, y, x, n) == 0 && gpu->add(g, gy, gx, n) == 0);
    same_activations("add", gy, y, n);
    CHECK(cpu->gelu_forward(c, z, x, n) == 0 && gpu->gelu_forward(g, gz, gx, n) == 0);
    same_activations("GELU", gz, z, n);
    CHECK(cpu->gelu_backward(c, z, dy, x, n) == 0 && gpu->gelu_backward(g, gd, gdy, gx, n) == 0);
    same_activations("GELU, gradient", gd, z, n);
    void *gr = activations(z, n), *grd = activations(z, n);
    CHECK(cpu->relu_forward(c, z, x, n) == 0 && gpu->relu_forward(g, gr, gx, n) == 0);
    same_activations("ReLU", gr, z, n);
    CHECK(cpu->relu_backward(c, z, dy, x, n) == 0 && gpu->relu_backward(g, grd, gdy, gx, n) == 0);
    same_activations("ReLU, gradient", grd, z, n);
    uint8_t *pixel = malloc(3 * n);
    for (size_t i = 0; i < 3 * n; i++)
        pixel[i] = (uint8_t)(i * 7);
    float *level = numbers(3 * n);
    void *glevel = activations(level, 3 * n);
    uint8_t *gpixel = gpu->alloc(g, 3 * n);
    CHECK(gpixel != NULL && gpu->upload(g, gpixel, pixel, 3 * n) == 0);
    CHECK(cpu->pictures(c, level, pixel, n) == 0 && gpu->pictures(g, glevel, gpixel, n) == 0);
    same_activations("pictures", glevel, level, 3 * n);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gpixel);
    free(x), free(y), free(dy), free(z), free(pixel), free(level);
}

/* The same numbers are dropped: bits, not only shares. */
static void dropout(int rows, int C)
{
    const size_t n = (size_t)(rows * C);
    const tw_drop drop = {.p = 0.25, .seed = 0x123456789abcdefull, .step = 0x1234567890ll, .row = 7, .batch = 4, .stride = 11, .layer = 3};
    float *x = numbers(n), *y = numbers(n), *got = numbers(n);
    void *gx = activations(x, n);
    int differ = 0;
    CHECK(cpu->dropout(c, &drop, y, x, rows, C) == 0 && gpu->dropout(g, &drop, gx, gx, rows, C) == 0);
    CHECK(gpu->to_f32(g, got, gx, n) == 0);
    for (size_t i = 0; i < n; i++)
        differ += (got[i] == 0) != (y[i] == 0);
    CHECK(differ == 0);
    same_activations("dropout", gx, y, n);
    free(x), free(y), free(got);
}

/* Gradients go through two matrices that cuDNN rounds to 16 bits. */
static void attention(int N, int T, int heads, int width)
{
    const size_t ny = (size_t)(N * T * heads * width), nx = 3 * ny, rows = (size_t)(N * heads * T);
    float *x = numbers(nx), *y = numbers(ny), *dy = numbers(ny), *dx = numbers(nx), *log_sum = numbers(rows);
    for (size_t i = 0; i < nx; i++)
        x[i] *= 4;
    void *gx = activations(x, nx), *gy = activations(dy, ny), *geval = activations(dy, ny), *gdy = activations(dy, ny), *gdx = activations(x, nx);
    float *glog_sum = plain(log_sum, rows);
    tw_attention a = {.N = N, .T = T, .heads = heads, .width = width, .train = true, .log_sum = log_sum}, b = a;
    b.log_sum = glog_sum;
    CHECK(cpu->attention_forward(c, &a, y, x) == 0 && cpu->attention_backward(c, &a, dx, dy, y, x) == 0);
    if (gpu->attention_forward(g, &b, gy, gx) != 0 || gpu->attention_backward(g, &b, gdx, gdy, gy, gx) != 0)
        printf("%s\n", gpu->error());
    b.train = false, b.log_sum = NULL;
    CHECK(gpu->attention_forward(g, &b, geval, gx) == 0);
    same_activations("attention", gy, y, ny);
    same_activations("attention of evaluation", geval, y, ny);
    same_activations("attention, gradient", gdx, dx, nx);
    same_plain("attention, log of sums", glog_sum, log_sum, rows, tolerance());
    gpu->release(g, gx), gpu->release(g, gdy);
    free(x), free(y), free(dy), free(dx), free(log_sum);
}

/* Patches of a grid of the learned positions' size, or (resized) of another. */
static void tokens(int N, int patches, int C, int grid, bool resized)
{
    const size_t nx = (size_t)(N * patches * C), ny = (size_t)(N * (1 + patches) * C), cells = (size_t)(grid * grid), np = (3 + cells) * (size_t)C;
    float *x = numbers(nx), *y = numbers(ny), *dy = numbers(ny), *dx = numbers(nx), *p = numbers(np), *dp = numbers(np);
    float *resize = numbers((size_t)patches * cells);
    for (size_t i = 0; i < (size_t)patches * cells; i += 3)
        resize[i] = 0;
    void *gx = activations(x, nx), *gy = activations(y, ny), *gdy = activations(dy, ny), *gdx = activations(dx, nx);
    float *gp = plain(p, np), *gdp = plain(dp, np), *gresize = plain(resize, (size_t)patches * cells);
    tw_tokens a = {.N = N, .patches = patches, .C = C, .grid = grid, .bias = p, .cls = p + C, .pos = p + 2 * C, .resize = resized ? resize : NULL};
    tw_tokens b = {.N = N, .patches = patches, .C = C, .grid = grid, .bias = gp, .cls = gp + C, .pos = gp + 2 * C, .resize = resized ? gresize : NULL};
    CHECK(cpu->tokens_forward(c, &a, y, x) == 0 && cpu->tokens_backward(c, &a, dx, dp, dp + C, dp + 2 * C, dy) == 0);
    CHECK(gpu->tokens_forward(g, &b, gy, gx) == 0 && gpu->tokens_backward(g, &b, gdx, gdp, gdp + C, gdp + 2 * C, gdy) == 0);
    same_activations("tokens", gy, y, ny);
    same_activations("tokens, gradient of the patches", gdx, dx, nx);
    same_plain("tokens, gradients of bias, CLS and positions", gdp, dp, np, 2e-5);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gp), gpu->release(g, gresize);
    free(x), free(y), free(dy), free(dx), free(p), free(dp), free(resize);
}

static void token_mean(int N, int T, int C, int first, int count)
{
    const size_t nx = (size_t)(N * T * C), ny = (size_t)(N * C), nj = (size_t)(N * (C + T));
    float *x = numbers(nx), *y = numbers(ny), *dy = numbers(ny), *dx = numbers(nx), *beside = numbers((size_t)(N * T)), *joined = numbers(nj);
    void *gx = activations(x, nx), *gy = activations(y, ny), *gdy = activations(dy, ny), *gdx = activations(dx, nx);
    void *gbeside = activations(beside, (size_t)(N * T)), *gjoined = activations(joined, nj);
    CHECK(cpu->token_mean_forward(c, y, x, N, T, C, first, count) == 0 && cpu->token_mean_backward(c, dx, dy, N, T, C, first, count) == 0);
    CHECK(gpu->token_mean_forward(g, gy, gx, N, T, C, first, count) == 0);
    CHECK(gpu->token_mean_backward(g, gdx, gdy, N, T, C, first, count) == 0);
    CHECK(cpu->join(c, joined, dy, beside, N, C, T) == 0 && gpu->join(g, gjoined, gdy, gbeside, N, C, T) == 0);
    same_activations("token mean", gy, y, ny);
    same_activations("token mean, gradient", gdx, dx, nx);
    same_activations("join", gjoined, joined, nj);
    gpu->release(g, gx), gpu->release(g, gdy), gpu->release(g, gbeside);
    free(x), free(y), free(dy), free(dx), free(beside), free(joined);
}

/* The same samples are left out. */
static void residual(int N, int each, double p)
{
    const size_t n = (size_t)(N * each);
    const tw_drop drop = {.p = p, .seed = 0xfedcba987ull, .step = 0x9876543210ll, .row = 5, .batch = 3, .stride = 8, .layer = (1 << 12) + 7};
    float *x = numbers(n), *s = numbers(n), *y = numbers(n), *dx = numbers(n), *got = numbers(n);
    void *gx = activations(x, n), *gs = activations(s, n), *gy = activations(y, n), *gdx = activations(dx, n);
    CHECK(cpu->residual_forward(c, &drop, y, x, s, N, (size_t)each) == 0 && cpu->residual_backward(c, &drop, dx, x, N, (size_t)each) == 0);
    CHECK(gpu->residual_forward(g, &drop, gy, gx, gs, N, (size_t)each) == 0 && gpu->residual_backward(g, &drop, gdx, gx, N, (size_t)each) == 0);
    CHECK(gpu->to_f32(g, got, gdx, n) == 0);
    int left = 0, differ = 0;
    for (size_t i = 0; i < n; i++) {
        differ += (got[i] == 0) != (dx[i] == 0);
        left += dx[i] == 0 && x[i] != 0;
    }
    CHECK(differ == 0 && (left > 0) == (p > 0));
    same_activations("residual", gy, y, n);
    same_activations("residual, gradient", gdx, dx, n);
    gpu->release(g, gx), gpu->release(g, gs);
    free(x), free(s), free(y), free(dx), free(got);
}

static void optimizers(size_t n)
{
    float *w = numbers(n), *v = numbers(n), *m = numbers(n), *d = numbers(n);
    for (size_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]); /* a second moment */
    float *gw = plain(w, n), *gv = plain(v, n), *gm = plain(m, n), *gd = plain(d, n);
    const tw_momentum k = {0.5f, 0.1f, 0.9f, 0.3f, 0.7f};
    const tw_adamw a = {0.5f, 0.99f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.7f};
    double square, want;
    CHECK(cpu->sum_squares(c, &want, d, n) == 0 && gpu->sum_squares(g, &square, gd, n) == 0);
    CHECK_NEAR(square / want, 1, 1e-12); /* f64 on both sides */
    CHECK(cpu->step_momentum(c, w, m, d, n, &k) == 0 && gpu->step_momentum(g, gw, gm, gd, n, &k) == 0);
    CHECK(cpu->step_adamw(c, w, m, v, d, n, &a) == 0 && gpu->step_adamw(g, gw, gm, gv, gd, n, &a) == 0);
    CHECK(cpu->average(c, d, w, n, 0.99) == 0 && gpu->average(g, gd, gw, n, 0.99) == 0);
    same_plain("optimizers, weights", gw, w, n, 1e-6);
    same_plain("optimizers, first moment", gm, m, n, 1e-6);
    same_plain("optimizers, second moment", gv, v, n, 1e-6);
    same_plain("teacher's average", gd, d, n, 1e-6);
    free(w), free(v), free(m), free(d);
}

/* One tensor whose gradient is given, so that the step is seen apart from the loss. */
enum { LEARNED = 70000 }; /* two chunks */

typedef struct {
    float *w, *v, *d, *gw, *gv, *gd;
} learned;

static learned new_learned(void)
{
    learned l = {numbers(LEARNED), numbers(LEARNED), numbers(LEARNED), NULL, NULL, NULL};
    l.gw = plain(l.w, LEARNED);
    l.gv = plain(l.v, LEARNED);
    l.gd = plain(l.d, LEARNED);
    return l;
}

static void free_learned(learned *l)
{
    gpu->release(g, l->gw), gpu->release(g, l->gv), gpu->release(g, l->gd);
    free(l->w), free(l->v), free(l->d);
}

/* The loss on the device against train/loss.c and train/selflabel.c, with the same numbers. */
static void losses(int V, int B, int K, double tau, bool taught, double quantile)
{
    const size_t n = (size_t)(V * B * K);
    float *f = numbers(n), *t = numbers(2 * (size_t)(B * K)), *want = numbers(n), *got = numbers(n);
    for (size_t i = 0; i < n; i++)
        f[i] *= 4;
    void *gf = activations(f, n), *gt = activations(t, 2 * (size_t)(B * K)), *gd = activations(want, n);
    learned one = new_learned();
    const tw_learn_tensor tensor = {.w = one.gw, .g = one.gd, .state = {one.gv, NULL}, .n = LEARNED, .rate = 1, .decayed = true};
    const tw_learn_config k = {.V = V, .B = B, .K = K, .ranks = 1, .lam1 = -0.3, .lam2 = 0.7, .tau = tau, .optim = TW_LEARN_SGD, .tensor = &tensor,
                               .tensors = 1};
    const tw_learn_numbers numbers_in = {.number = 1, .adam = 1, .lr = 0.1, .weight_decay = 0.01, .quantile = quantile};
    tw_learn *l = gpu->learn_new(g, &k);
    tw_learn_results r;
    int32_t *largest = malloc(2 * (size_t)B * sizeof *largest);
    CHECK(l != NULL && gpu->learn_begin(l, &numbers_in) == 0);
    CHECK(gpu->learn_loss(l, gd, gf, gf, taught ? gt : NULL, quantile > 0) == 0 && gpu->learn_update(l) == 0);
    CHECK(gpu->learn_results(l, &r, largest) == 0 && r.taken == 1);
    for (int i = 0; i < 2 * B; i++) {
        int first = 0;
        for (int j = 1; j < K; j++)
            if (f[i * K + j] > f[i * K + first])
                first = j;
        CHECK(largest[i] == first);
    }
    tw_loss_terms terms = {0};
    tw_loss *host = tw_loss_new(&(tw_loss_weights){-0.3, 0.7, tau}, V, B, K, tw_comm_single());
    CHECK(host != NULL);
    if (quantile > 0) {
        tw_selflabel_terms s;
        const tw_confidence confidence = {.quantile = quantile};
        CHECK(tw_loss_selflabel(&s, want, f, taught ? t : NULL, V, B, K, &confidence) == 0);
        CHECK(s.selected == r.selected);
        CHECK_NEAR(r.threshold, s.threshold, 1e-6);
        terms.loss = s.loss;
        CHECK(tw_loss_entropies(host, &terms.eh, &terms.he, f) == 0 && isnan(r.kl));
    } else {
        CHECK(tw_loss_twist(host, &terms, want, f, taught ? t : NULL) == 0);
        CHECK_NEAR(r.kl, terms.kl, 1e-5);
    }
    tw_loss_free(host);
    CHECK_NEAR(r.eh, terms.eh, 1e-5);
    CHECK_NEAR(r.he, terms.he, 1e-5);
    CHECK_NEAR(r.loss, terms.loss, 1e-5);
    CHECK(gpu->to_f32(g, got, gd, n) == 0);
    for (size_t i = 0; i < n; i++)
        got[i] /= (float)r.scale;
    near_numbers(quantile > 0 ? "self-labeling" : "TWIST loss", got, want, n, tolerance());
    gpu->learn_free(l);
    gpu->release(g, gf), gpu->release(g, gt), gpu->release(g, gd);
    free_learned(&one);
    free(f), free(t), free(want), free(got), free(largest);
}

/* A teacher that says nothing of one view is a loss that is no number: no step. */
static void refusal_of_labels(double quantile)
{
    enum { V = 3, B = 4, K = 8 };
    float *f = numbers(V * B * K);
    void *gf = activations(f, V * B * K), *gd = activations(f, V * B * K);
    learned one = new_learned();
    const tw_learn_tensor tensor = {.w = one.gw, .g = one.gd, .state = {one.gv, NULL}, .n = LEARNED, .rate = 1};
    const tw_learn_config k = {.V = V, .B = B, .K = K, .ranks = 1, .lam2 = 1, .tau = 1, .optim = TW_LEARN_SGD, .tensor = &tensor, .tensors = 1};
    const tw_learn_numbers in = {.number = 1, .adam = 1, .lr = 0.1, .quantile = quantile, .threshold = 0.125};
    tw_learn *l = gpu->learn_new(g, &k);
    tw_learn_results r;
    int32_t largest[2 * B];
    CHECK(l != NULL);
    for (int row = 0; row < 2 * B; row += 3) { /* of either view */
        const float good = f[row * K + 5];
        f[row * K + 5] = NAN;
        void *gt = activations(f, 2 * B * K);
        CHECK(gpu->learn_begin(l, &in) == 0 && gpu->learn_loss(l, gd, gf, NULL, gt, true) == 0 && gpu->learn_update(l) == 0);
        CHECK(gpu->learn_results(l, &r, largest) == 0 && r.taken == 0 && isnan(r.loss));
        gpu->release(g, gt);
        f[row * K + 5] = good;
    }
    gpu->learn_free(l);
    gpu->release(g, gf), gpu->release(g, gd);
    free_learned(&one);
    free(f);
}

/* A gradient that is not finite changes nothing but, in fp16, the scale; a finite one makes a step. */
static void refusal_of_steps(void)
{
    enum { V = 2, B = 2, K = 8 };
    learned one = new_learned();
    const tw_learn_tensor tensor = {.w = one.gw, .g = one.gd, .state = {one.gv, NULL}, .n = LEARNED, .rate = 0.5, .decayed = true};
    const tw_learn_config k = {.V = V, .B = B, .K = K, .ranks = 1, .lam2 = 1, .tau = 1, .clip_norm = 3, .optim = TW_LEARN_LARS, .tensor = &tensor,
                               .tensors = 1};
    const tw_learn_numbers in = {.number = 1, .adam = 1, .lr = 0.1, .weight_decay = 0.01};
    float *f = numbers(V * B * K), *w = numbers(LEARNED);
    void *gf = activations(f, V * B * K), *gd = activations(f, V * B * K);
    const float keep = one.d[66000], bad = INFINITY;
    tw_learn *l = gpu->learn_new(g, &k);
    tw_learn_results r;
    int32_t largest[2 * B];
    CHECK(l != NULL && gpu->upload(g, one.gd + 66000, &bad, sizeof bad) == 0);
    CHECK(gpu->learn_begin(l, &in) == 0 && gpu->learn_loss(l, gd, gf, NULL, NULL, false) == 0 && gpu->learn_update(l) == 0);
    CHECK(gpu->learn_results(l, &r, largest) == 0 && r.taken == 0 && isinf(r.gradient_norm) && isfinite(r.loss));
    CHECK(gpu->download(g, w, one.gw, LEARNED * sizeof *w) == 0 && memcmp(w, one.w, LEARNED * sizeof *w) == 0);
    const double scale = r.scale;
    CHECK(scale == (type == TW_F16 ? 65536 : 1) && r.next.scale == (type == TW_F16 ? scale / 2 : 1) && r.next.steps == 0);
    CHECK(gpu->upload(g, one.gd + 66000, &keep, sizeof keep) == 0);
    CHECK(gpu->learn_begin(l, &in) == 0 && gpu->learn_loss(l, gd, gf, NULL, NULL, false) == 0 && gpu->learn_update(l) == 0);
    CHECK(gpu->learn_results(l, &r, largest) == 0 && r.taken == 1 && r.scale == (type == TW_F16 ? scale / 2 : 1));
    CHECK(r.next.scale == r.scale && r.next.steps == (type == TW_F16));
    /* what the optimizer of lib/train does with the gradient over the scale */
    double weight = 0, gradient = 0;
    for (int i = 0; i < LEARNED; i++) {
        weight += (double)one.w[i] * (double)one.w[i];
        gradient += (double)one.d[i] * (double)one.d[i] / r.scale / r.scale;
    }
    weight = sqrt(weight), gradient = sqrt(gradient);
    CHECK_NEAR(r.gradient_norm, gradient, 1e-9 * gradient);
    const double clip = tw_clip(gradient, 3), local = 0.001 * weight / (gradient * clip + 0.01 * weight);
    const tw_momentum m = {(float)(clip / r.scale), 0.01f, 0.9f, (float)(0.05 * local), 1};
    CHECK(cpu->step_momentum(c, one.w, one.v, one.d, LEARNED, &m) == 0);
    CHECK(gpu->download(g, w, one.gw, LEARNED * sizeof *w) == 0);
    near_numbers("a step of LARS", w, one.w, LEARNED, 1e-6);
    gpu->learn_free(l);
    gpu->release(g, gf), gpu->release(g, gd);
    free_learned(&one);
    free(f), free(w);
}

/* What the host decides: the plan that is fastest among those allowed, timed once; nothing is left behind. Emulation only. */
static void decisions(void)
{
    const int *plan = emulated("emu_last_plan");
    int *operations = emulated("emu_last_operations");
    int (*descriptors)(void) = (int (*)(void))emulated("emu_descriptors");
    unsigned long (*launches)(void) = (unsigned long (*)(void))emulated("emu_launches");
    const tw_conv_shape s = {.N = 1, .H = 6, .W = 6, .C = 8, .OH = 6, .OW = 6, .K = 8, .size = 3, .stride = 1, .pad = 1, .train = true};
    if (plan == NULL || operations == NULL || descriptors == NULL || launches == NULL)
        return;
    const int before = descriptors();
    unsigned long work[2];
    for (int i = 0; i < 2; i++) {
        work[i] = launches();
        tw_conv *conv = gpu->conv_new(g, &s);
        work[i] = launches() - work[i];
        float *x = numbers(288);
        void *gx = activations(x, 288), *gy = activations(x, 288);
        CHECK(conv != NULL && gpu->conv_forward(conv, gy, gx) == 0);
        CHECK(*plan == (type == TW_F32 ? 3 : 1)); /* in fp32 nothing that rounds to TF32; never what varies from run to run */
        gpu->conv_free(conv);
        gpu->release(g, gx), gpu->release(g, gy);
        free(x);
    }
    CHECK(work[0] > 20 && work[1] == 0);
    for (int i = 0; i < 2; i++) {
        work[i] = launches();
        tw_linear *l = gpu->linear_new(g, 11, 24, 32, true);
        work[i] = launches() - work[i];
        CHECK(l != NULL);
        gpu->linear_free(l);
    }
    CHECK(work[0] > 20 && work[1] <= 2); /* memory that is zeroed */
    CHECK(descriptors() == before);
    setenv("EMULATE_BROKEN_FOLD", "1", 1); /* plans that do not run are not taken, where the parts do */
    folded(2, 4, 5, 16, 8, 3, 1, true, true, true);
    with_sums(2, 4, 5, 16, 8, 3, 1);
    with_maker(TW_CONV_THROUGH, 2, 4, 5, 16, 8, 3, 1, false);
    with_maker(TW_CONV_APPLIES, 2, 4, 5, 16, 8, 1, 1, false);
    CHECK(*operations == 1);
    attention(2, 3, 2, 8);
    unsetenv("EMULATE_BROKEN_FOLD");
    setenv("EMULATE_NO_FOLD", "1", 1); /* no plan for a folded norm: the parts */
    folded(2, 5, 5, 16, 8, 3, 1, true, true, true);
    CHECK(*operations == 1);
    folded(2, 5, 5, 16, 8, 3, 1, false, false, false);
    unsetenv("EMULATE_NO_FOLD");
    folded(2, 5, 5, 8, 8, 3, 1, true, true, true);
    CHECK(*operations == 4);
    for (int i = 0; i < 2; i++) { /* one that is slower than the parts is given up, and not looked at again */
        setenv("EMULATE_SLOW_FOLD", "1", 1);
        work[i] = launches();
        folded(2, 6, 6, 16, 8, 3, 1, true, true, true);
        work[i] = launches() - work[i];
        unsetenv("EMULATE_SLOW_FOLD");
        CHECK(*operations == 1);
    }
    CHECK(work[0] > work[1] + 20);
    setenv("EMULATE_NO_FOLD", "1", 1); /* no plan with sums: convolution and sums apart */
    with_sums(2, 7, 5, 16, 8, 3, 1);
    CHECK(*operations == 1);
    unsetenv("EMULATE_NO_FOLD");
    with_sums(2, 5, 7, 16, 8, 3, 1);
    CHECK(*operations == (type == TW_F16 ? 2 : 1));
    setenv("EMULATE_NO_FOLD", "1", 1); /* none to read through a norm */
    with_maker(TW_CONV_THROUGH, 2, 6, 5, 16, 8, 3, 1, false);
    with_maker(TW_CONV_APPLIES, 2, 6, 5, 16, 8, 1, 1, false);
    unsetenv("EMULATE_NO_FOLD");
    for (int i = 0; i < 2; i++) { /* or one that is slower than the parts */
        setenv("EMULATE_SLOW_FOLD", "1", 1);
        work[i] = launches();
        with_maker(TW_CONV_THROUGH, 2, 5, 6, 16, 8, 3, 1, false);
        with_maker(TW_CONV_APPLIES, 2, 5, 6, 16, 8, 1, 1, false);
        work[i] = launches() - work[i];
        unsetenv("EMULATE_SLOW_FOLD");
    }
    CHECK(type != TW_F16 || work[0] > work[1] + 20);
    const int both = type == TW_F32 ? 0 : 2;
    *operations = 0;
    linear_beside(12, 24, 16, true);
    CHECK(*operations == both); /* backward */
    linear_beside(12, 24, 16, false);
    CHECK(*operations == (type == TW_F32 ? 0 : 3));
    *operations = 0;
    setenv("EMULATE_NO_FOLD", "1", 1);
    linear_beside(12, 16, 16, true);
    unsetenv("EMULATE_NO_FOLD");
    setenv("EMULATE_BROKEN_FOLD", "1", 1);
    linear_beside(13, 16, 16, true);
    unsetenv("EMULATE_BROKEN_FOLD");
    CHECK(*operations == 0);
    setenv("TWIST_PLAIN", "", 1);
    linear_beside(15, 16, 16, true);
    unsetenv("TWIST_PLAIN");
    CHECK(*operations == 0);
    setenv("EMULATE_SLOW_FOLD", "1", 1);
    linear_beside(14, 16, 16, true);
    unsetenv("EMULATE_SLOW_FOLD");
    *operations = 0;
    linear_beside(14, 16, 16, true); /* the choice is kept */
    CHECK(*operations == 0);
    with_maker(TW_CONV_APPLIES, 2, 4, 6, 16, 8, 3, 1, false); /* of one pixel only */
    with_maker(TW_CONV_THROUGH, 2, 4, 6, 16, 8, 3, 1, true);
    CHECK(type != TW_F16 || *operations == 4);
    CHECK(descriptors() == before);
}

static void every_op(void)
{
    losses(2, 5, 10, 1, false, 0);
    losses(5, 3, 300, 0.5, false, 0);
    losses(14, 2, 40, 1, true, 0);
    losses(4, 3, 50, 0.5, true, 0);
    losses(2, 3, 4098, 0.7, false, 0);
    losses(14, 2, 2600, 1, false, 0);
    losses(14, 2, 48, 0.6, false, 0);
    losses(8, 2, 1032, 1, false, 0);
    losses(8, 3, 52, 1, true, 0);
    losses(20, 2, 66, 1, false, 0);
    losses(17, 2, 31, 0.8, false, 0); /* odd: number by number */
    losses(9, 2, 45, 1, false, 0);
    losses(6, 2, 27, 0.5, true, 0);
    losses(3, 9, 33, 1, false, 0.5);
    losses(4, 6, 20, 0.5, true, 0.4);
    refusal_of_steps();
    refusal_of_labels(0);
    refusal_of_labels(0.5);
    decisions();
    conv(2, 11, 9, 3, 64, 7, 2);
    conv(2, 8, 12, 3, 16, 7, 2);
    conv(2, 9, 7, 2, 8, 5, 2);
    conv(2, 6, 7, 4, 8, 3, 2);
    conv(3, 8, 8, 3, 16, 3, 1);
    conv(3, 7, 5, 16, 24, 3, 2);
    conv(5, 4, 4, 12, 8, 1, 1);
    conv(4, 5, 3, 32, 16, 1, 2);
    with_sums(3, 8, 8, 16, 24, 3, 1);
    with_sums(5, 4, 4, 12, 8, 1, 1);
    with_sums(3, 9, 7, 16, 10, 3, 2);
    with_sums(2, 11, 9, 3, 64, 7, 2);
    with_maker(TW_CONV_THROUGH, 3, 8, 8, 16, 24, 3, 1, true);
    with_maker(TW_CONV_THROUGH, 3, 9, 7, 8, 10, 3, 2, true);
    with_maker(TW_CONV_THROUGH, 5, 4, 4, 24, 8, 1, 1, true);
    with_maker(TW_CONV_THROUGH, 5, 4, 4, 12, 8, 1, 1, false); /* channels that have to be filled up */
    with_maker(TW_CONV_APPLIES, 5, 4, 4, 24, 8, 1, 1, true);
    with_maker(TW_CONV_APPLIES, 3, 4, 5, 8, 9, 1, 1, true);
    with_maker(TW_CONV_APPLIES, 5, 4, 4, 12, 8, 1, 1, false);
    folded(2, 11, 9, 3, 64, 7, 2, false, true, true);
    folded(3, 8, 8, 16, 24, 3, 1, true, true, true);
    folded(3, 7, 5, 16, 24, 3, 2, false, true, true);
    folded(5, 4, 4, 12, 8, 1, 1, true, false, true);
    folded(2, 5, 6, 8, 16, 1, 1, false, false, false);
    patches(3, 32, 32, 3, 24, 16);
    patches(2, 19, 13, 3, 8, 4); /* pixels left over */
    patches(2, 10, 15, 3, 8, 5); /* channels to fill up */
    linear(7, 20, 13);
    linear(32, 64, 40);
    linear(300, 20, 8); /* several pieces of rows */
    linear_beside(33, 16, 40, true);
    linear_beside(9, 24, 32, false);
    linear_beside(7, 20, 24, true); /* rows that cuDNN does not take */
    setenv("EMULATE_NO_EPILOGUE", "1", 1); /* the bias by a kernel */
    linear(9, 16, 24);
    linear_beside(9, 16, 24, true);
    unsetenv("EMULATE_NO_EPILOGUE");
    setenv("EMULATE_WRONG_SUMS", "1", 1); /* cuBLASLt's sums of columns are not believed */
    linear(9, 24, 16);
    unsetenv("EMULATE_WRONG_SUMS");
    for (int k = 0; k < 16; k++)
        norm(1 + k % 3 / 2, k % 3 == 0 ? 700 : 9, k % 5 == 0 ? 264 : k % 2 == 0 ? 24 : 13, k & 1, k & 2, k & 4, k & 8);
    for (int k = 0; k < 4; k++)
        norm_mask(k < 2 ? 700 : 9, k % 2 == 0 ? 264 : 13, k % 3 == 0);
    for (int k = 0; k < 6; k++)
        norm_two(k < 3 ? 700 : 9, k % 2 == 0 ? 264 : 13, k % 3 > 0, k % 3 > 1);
    layer_norm(19, 33, false);
    layer_norm(6, 35, true);
    layer_norm(5, 384, false);
    layer_norm(9, 192, true);
    layer_norm(2200, 64, false); /* blocks that take several rows */
    layer_norm(7, 500, true);
    layer_norm(13, 768, true);
    layer_norm(3, 1024, false);
    layer_norm(2, 1028, true);
    running(9, 24);
    pooling(3, 8, 6, 16);
    pooling(2, 7, 1, 10);
    norm_and_pooling(1, 3, 8, 6, 16);
    norm_and_pooling(2, 2, 7, 1, 10);
    norm_and_pooling(1, 2, 21, 18, 72);
    mean(3, 49, 16);
    mean(2, 5, 7);
    elementwise(1001);
    elementwise(4096);
    dropout(9, 13);
    dropout(5, 64);
    optimizers(5003);
    attention(3, 17, 2, 64);
    attention(2, 70, 3, 64);
    attention(5, 1, 2, 16);
    attention(2, 5, 3, 12); /* rows that cuDNN does not take */
    tokens(3, 16, 24, 4, false);
    tokens(70, 6, 16, 3, true);
    tokens(2, 9, 13, 2, true);
    token_mean(3, 5, 24, 0, 1);
    token_mean(4, 7, 13, 1, 6);
    residual(9, 40, 0.4);
    residual(7, 9001, 0.3);
    residual(3, 64, 0);
}

int main(int argc, char **argv)
{
    test_open(argc, argv);
    cpu = tw_backend_open("cpu");
    gpu = tw_backend_open("cuda");
    if (gpu == NULL || gpu->devices() < 1)
        test_skip("no libtwist-cuda.so with a device, nor the emulation of one (g++ and CUDA's headers make it)");
    CHECK(cpu != NULL);
    c = cpu->open(TW_F32, 1);
    cpu->enter(c);
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    static const tw_dtype types[] = {TW_F32, TW_BF16, TW_F16};
    for (int i = 0; i < 3; i++) {
        type = types[i];
        g = gpu->open(type, 1);
        if (g == NULL)
            printf("%s\n", gpu->error());
        CHECK(g != NULL);
        gpu->enter(g);
        every_op();
        gpu->close(g);
    }
    CHECK(gpu->open(TW_I64, 1) == NULL && strstr(gpu->error(), "i64") != NULL);
    cpu->close(c);
    return test_done();
}
