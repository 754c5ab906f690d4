/* Goal: what the CPU backend's convolutions and linear layers compute is the same, bit for bit, for any number of threads: in training on a
 * processor with AVX-512 everything, on others, where oneDNN's products are cut by threads, the weight gradients of stems; in evaluation on all. */
#include "numbers_bf16.h"

#include "nn/backend.h"

#include <stdio.h>

enum { TEAMS = 6, OUTPUTS = 4 };

static const int team[TEAMS] = {1, 2, 3, 4, 5, 12}; /* threads */

static const tw_backend *be;
static tw_dtype type;
static bool wide; /* AVX-512 */

/* What one number of threads made of the inputs. */
typedef struct {
    void *of[OUTPUTS];
    size_t bytes[OUTPUTS];
} made;

static void *activations(tw_dev *d, const float *x, size_t n)
{
    void *p = be->alloc(d, n * sizeof *x);
    CHECK(p != NULL && be->from_f32(d, p, x, n) == 0);
    return p;
}

/* As many numbers of an output. */
static void *room(made *m, int i, tw_dev *d, size_t n, tw_dtype t)
{
    m->bytes[i] = n * tw_dtype_size(t);
    return m->of[i] = be->alloc(d, n * sizeof(float));
}

/* first: the first output that is to be. */
static void same(const char *what, const made *all, int first)
{
    for (int t = 1; t < TEAMS; t++)
        for (int i = first; i < OUTPUTS; i++) {
            const bool equal = all[t].bytes[i] == 0 || memcmp(all[0].of[i], all[t].of[i], all[0].bytes[i]) == 0;
            if (!equal)
                printf("%s, %s: output %d of %d threads is another\n", what, tw_dtype_name(type), i, team[t]);
            CHECK(equal);
        }
    for (int t = 0; t < TEAMS; t++)
        for (int i = 0; i < OUTPUTS; i++)
            free(all[t].of[i]);
}

static void conv(int N, int side, int C, int K, int size, int stride)
{
    const int pad = size == stride ? 0 : size / 2, out = (side + 2 * pad - size) / stride + 1;
    const tw_conv_shape s = {.N = N, .H = side, .W = side, .C = C, .OH = out, .OW = out, .K = K, .size = size, .stride = stride, .pad = pad,
                             .train = true, .data_gradient = true};
    const size_t nx = (size_t)(N * side * side * C), ny = (size_t)(N * out * out * K), nw = (size_t)(K * C * size * size);
    float *x = numbers_within(nx, 1), *w = numbers_within(nw, 1), *dy = numbers_within(ny, 1);
    made all[TEAMS] = {0};
    char what[80];
    for (int t = 0; t < TEAMS; t++) {
        tw_dev *d = be->open(type, team[t]);
        be->enter(d);
        void *gx = activations(d, x, nx), *gdy = activations(d, dy, ny);
        made *m = &all[t];
        tw_conv *c = be->conv_new(d, &s);
        CHECK(c != NULL && be->conv_weights(c, w) == 0);
        CHECK(be->conv_forward(c, room(m, 0, d, ny, type), gx) == 0 && be->conv_backward_data(c, room(m, 1, d, nx, type), gdy) == 0);
        CHECK(be->conv_backward_weights(c, room(m, 2, d, nw, TW_F32), gx, gdy) == 0);
        be->conv_free(c);
        be->release(d, gx), be->release(d, gdy);
        be->close(d);
    }
    snprintf(what, sizeof what, "%d of %d x %d x %d to %d by %d x %d at %d", N, side, side, C, K, size, size, stride);
    same(what, all, wide ? 0 : 2);
    free(x), free(w), free(dy);
}

/* 3x3 on one picture, with a norm folded in. */
static void folded(int side, int channels, int stride)
{
    const int out = (side - 1) / stride + 1;
    const tw_conv_shape s = {.N = 1, .H = side, .W = side, .C = channels, .OH = out, .OW = out, .K = channels, .size = 3, .stride = stride,
                             .pad = 1, .folded = true, .relu = true};
    const size_t nx = (size_t)(side * side * channels), ny = (size_t)(out * out * channels), nw = (size_t)(channels * channels * 9);
    float *x = numbers_within(nx, 1), *w = numbers_within(nw, 1), *mean = numbers_within((size_t)channels, 1);
    float *var = tw_calloc((size_t)channels, sizeof *var);
    made all[TEAMS] = {0};
    char what[80];
    for (int k = 0; k < channels; k++)
        var[k] = 1 + mean[k] * mean[k];
    const tw_norm n = {.C = channels, .relu = true, .running_mean = mean, .running_var = var};
    for (int t = 0; t < TEAMS; t++) {
        tw_dev *d = be->open(type, team[t]);
        be->enter(d);
        void *gx = activations(d, x, nx);
        tw_conv *c = be->conv_new(d, &s);
        CHECK(c != NULL && be->conv_fold(c, w, &n) == 0 && be->conv_folded(c, room(&all[t], 0, d, ny, type), gx, NULL) == 0);
        be->conv_free(c);
        be->release(d, gx);
        be->close(d);
    }
    snprintf(what, sizeof what, "folded, %d x %d x %d at %d", side, side, channels, stride);
    same(what, all, 0);
    free(x), free(w), free(mean), free(var);
}

static void linear(int rows, int C, int K)
{
    const size_t nx = (size_t)(rows * C), ny = (size_t)(rows * K), nw = (size_t)(K * C);
    float *x = numbers_within(nx, 1), *w = numbers_within(nw, 1), *b = numbers_within((size_t)K, 1), *dy = numbers_within(ny, 1);
    made all[TEAMS] = {0};
    char what[80];
    for (int t = 0; t < TEAMS; t++) {
        tw_dev *d = be->open(type, team[t]);
        be->enter(d);
        void *gx = activations(d, x, nx), *gdy = activations(d, dy, ny);
        made *m = &all[t];
        tw_linear *l = be->linear_new(d, rows, C, K, true);
        CHECK(l != NULL && be->linear_weights(l, w, b) == 0);
        CHECK(be->linear_forward(l, room(m, 0, d, ny, type), gx) == 0 && be->linear_backward_data(l, room(m, 1, d, nx, type), gdy) == 0);
        void *dw = room(m, 2, d, nw, TW_F32), *db = room(m, 3, d, (size_t)K, TW_F32);
        CHECK(be->linear_backward_weights(l, dw, db, gx, gdy) == 0);
        be->linear_free(l);
        be->release(d, gx), be->release(d, gdy);
        be->close(d);
    }
    snprintf(what, sizeof what, "%d rows of %d to %d", rows, C, K);
    same(what, all, 0);
    free(x), free(w), free(b), free(dy);
}

int main(void)
{
    static const tw_dtype types[] = {TW_F32, TW_BF16};
    be = tw_backend_open("cpu");
    CHECK(be != NULL);
    if (be == NULL)
        return test_done();
#if defined(__x86_64__)
    wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && getenv("ONEDNN_MAX_CPU_ISA") == NULL;
#endif
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    for (int i = 0; i < 2; i++) {
        type = types[i];
        tw_dev *d = be->open(type, 1);
        if (d == NULL) { /* a processor without bf16 */
            CHECK(type == TW_BF16);
            continue;
        }
        be->close(d);
        conv(7, 32, 3, 64, 7, 2); /* stems: of residual networks, of small pictures, of vision transformers */
        conv(9, 16, 3, 64, 3, 1);
        conv(2, 48, 3, 96, 16, 16);
        conv(5, 32, 3, 768, 16, 16); /* gradients of more than 2 MB: of vit_b, of large patches, one beyond the memory of slices */
        conv(3, 64, 3, 192, 32, 32);
        conv(2, 128, 3, 192, 128, 128);
        conv(70, 6, 24, 40, 3, 1); /* more pictures than slices, channels of no vector */
        folded(14, 512, 2); /* of ResNets at 224 pixels */
        folded(7, 512, 1);
        if (!wide)
            continue;
        conv(1, 10, 512, 512, 3, 2); /* oneDNN's batch-reduce kernels would sum rows of taps in an order chosen by threads */
        conv(10, 3, 512, 512, 3, 2);
        conv(1, 5, 512, 512, 3, 1);
        conv(8, 8, 64, 64, 3, 1);
        conv(8, 4, 64, 128, 3, 2);
        conv(8, 16, 128, 128, 3, 2);
        conv(8, 2, 128, 128, 3, 1);
        conv(5, 14, 128, 64, 1, 1);
        conv(2, 14, 128, 256, 1, 2);
        linear(8, 512, 16);
        linear(14, 512, 30);
        linear(197, 192, 576);
        linear(800, 64, 64); /* sums over more threads than its inputs have panels */
        linear(64, 256, 512);
    }
    return test_done();
}
