#include "eval/linear.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/philox.h"
#include "eval/linear_device.h"
#include "eval/matrix.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Sizes of jobs: ROWS samples (or classes) by COLUMNS features. */
enum { ROWS = 48, COLUMNS = 512, LANES = 8 };

struct tw_linear {
    int C, D, B;
    float momentum, decay;
    float *w, *v;     /* [C,D]: weights and their velocity */
    float *b, *bv;    /* [C] */
    float *z;         /* [B,C]: logits, then their gradient */
    double *loss;     /* [B] */
    float *scratch;   /* [threads, ROWS, COLUMNS] */
    tw_panels weight; /* of w, [C,D] */
    tw_panels batch;  /* of x transposed, [D,B] */
    tw_blocks *threads;
    tw_linear_device *on; /* NULL: computed by the threads */
    bool sent;            /* the weights have been copied to the device */
};

tw_linear *tw_linear_new(int C, int D, int B, double momentum, double weight_decay, tw_blocks *threads)
{
    tw_linear *l = tw_calloc(1, sizeof *l);
    size_t weights, logits;
    if (l == NULL)
        return NULL;
    *l = (tw_linear){.C = C, .D = D, .B = B, .momentum = (float)momentum, .decay = (float)weight_decay, .threads = threads};
    if (!tw_mul(&weights, (size_t)C, (size_t)D) || !tw_mul(&logits, (size_t)B, (size_t)C)) {
        tw_fail("%d classes of %d features are too many", C, D);
        goto err;
    }
    l->w = tw_calloc(weights, sizeof(float));
    l->v = tw_calloc(weights, sizeof(float));
    l->b = tw_calloc((size_t)C, sizeof(float));
    l->bv = tw_calloc((size_t)C, sizeof(float));
    l->z = tw_calloc(logits, sizeof(float));
    l->loss = tw_calloc((size_t)B, sizeof(double));
    l->scratch = tw_calloc((size_t)tw_blocks_threads(threads) * ROWS * COLUMNS, sizeof(float));
    if (tw_blocks_device(threads) != NULL &&
        (l->on = tw_linear_device_new(tw_blocks_device(threads), C, D, B, l->momentum, l->decay)) == NULL)
        goto err;
    if (!l->w || !l->v || !l->b || !l->bv || !l->z || !l->loss || !l->scratch || tw_panels_init(&l->weight, C, D, NULL) != 0 ||
        tw_panels_init(&l->batch, D, B, NULL) != 0)
        goto err;
    return l;
err:
    tw_linear_free(l);
    return NULL;
}

void tw_linear_free(tw_linear *l)
{
    if (l == NULL)
        return;
    tw_panels_fini(&l->weight);
    tw_panels_fini(&l->batch);
    tw_linear_device_free(l->on);
    free(l->w);
    free(l->v);
    free(l->b);
    free(l->bv);
    free(l->z);
    free(l->loss);
    free(l->scratch);
    free(l);
}

float *tw_linear_weight(tw_linear *l)
{
    return l->w;
}

float *tw_linear_bias(tw_linear *l)
{
    return l->b;
}

void tw_linear_init(tw_linear *l, uint64_t seed)
{
    tw_rng r;
    tw_rng_init(&r, seed, TW_USE_LINEAR, 0, 0, 0);
    for (size_t i = 0; i < (size_t)l->C * l->D; i++)
        l->w[i] = (float)(0.01 * tw_rng_normal(&r));
    memset(l->b, 0, (size_t)l->C * sizeof *l->b);
}

/* exp(x) for x <= 0 to 2 ulp (polynomial of Cephes' expf), by plain operations only, so that the compiler vectorises it and every processor gives
 * the same bits. Below -87.3: the smallest normal number. */
static inline float exp_negative(float x)
{
    x = x > -87.3f ? x : -87.3f;
    const float n = (x * 1.44269504088896341f + 12582912.f) - 12582912.f; /* rounds */
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* Replaces z [C] by exp(z - max) and returns the sum. */
static float exponentials(float *z, int C, float max)
{
    float lane[LANES] = {0}, sum = 0;
    int c = 0;
    for (; c < C; c++)
        z[c] = exp_negative(z[c] - max);
    for (c = 0; c + LANES <= C; c += LANES)
        for (int i = 0; i < LANES; i++)
            lane[i] += z[c + i];
    for (; c < C; c++)
        sum += z[c];
    for (int i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

/* Returns the loss of logits z and replaces them by the gradient, (softmax - one-hot) / n. */
static double cross_entropy(float *z, int C, int32_t y, int n)
{
    float max = -INFINITY;
    bool finite = true;
    for (int c = 0; c < C; c++) {
        max = z[c] > max ? z[c] : max;
        finite &= fabsf(z[c]) <= FLT_MAX;
    }
    if (!finite) {
        memset(z, 0, (size_t)C * sizeof *z);
        return NAN;
    }
    const double own = (double)z[y] - max;
    const float sum = exponentials(z, C, max), scale = 1 / (sum * (float)n);
    for (int c = 0; c < C; c++)
        z[c] *= scale;
    z[y] -= 1 / (float)n;
    return log(sum) - own;
}

static void add_bias(float *z, const float *b, int rows, int C)
{
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < C; c++)
            z[(size_t)i * C + c] += b[c];
}

struct step {
    tw_linear *l;
    const float *x;
    const int32_t *y;
    int n;
    float lr;
};

static void forward_block(void *context, int block, int worker)
{
    (void)worker;
    const struct step *s = context;
    const tw_linear *l = s->l;
    const int first = block * ROWS, rows = s->n - first < ROWS ? s->n - first : ROWS;
    float *z = l->z + (size_t)first * l->C;
    tw_product(z, (size_t)l->C, s->x + (size_t)first * l->D, (size_t)l->D, 1, rows, &l->weight, false);
    add_bias(z, l->b, rows, l->C);
    for (int i = 0; i < rows; i++)
        l->loss[first + i] = cross_entropy(z + (size_t)i * l->C, l->C, s->y[first + i], s->n);
}

static inline void descend(float *w, float *v, float g, const tw_linear *l, float lr)
{
    *v = l->momentum * *v + (g + l->decay * *w);
    *w -= lr * *v;
}

/* The gradient of ROWS classes by COLUMNS features, and the step along it. */
static void backward_block(void *context, int block, int worker)
{
    const struct step *s = context;
    tw_linear *l = s->l;
    const int across = tw_blocks_count(l->D, COLUMNS);
    const int c = block / across * ROWS, d = block % across * COLUMNS;
    const int rows = l->C - c < ROWS ? l->C - c : ROWS, columns = l->D - d < COLUMNS ? l->D - d : COLUMNS;
    float *g = l->scratch + (size_t)worker * ROWS * COLUMNS;
    const tw_panels part = tw_panels_part(&l->batch, d, columns);
    tw_product(g, COLUMNS, l->z + c, 1, (size_t)l->C, rows, &part, false);
    for (int i = 0; i < rows; i++) {
        float *w = l->w + (size_t)(c + i) * l->D + d, *v = l->v + (size_t)(c + i) * l->D + d;
        for (int j = 0; j < columns; j++)
            descend(&w[j], &v[j], g[i * COLUMNS + j], l, s->lr);
    }
    for (int i = 0; i < rows && d == 0; i++) {
        double sum = 0;
        for (int r = 0; r < s->n; r++)
            sum += l->z[(size_t)r * l->C + c + i];
        descend(&l->b[c + i], &l->bv[c + i], (float)sum, l, s->lr);
    }
}

/* Copies the weights to the device, once. 0, or -1 and tw_error(). */
static int send_weights(tw_linear *l)
{
    if (!l->sent && tw_linear_device_set(l->on, l->w, l->b) != 0)
        return -1;
    l->sent = true;
    return 0;
}

int tw_linear_fetch(tw_linear *l)
{
    return l->on == NULL || !l->sent ? 0 : tw_linear_device_get(l->on, l->w, l->b);
}

double tw_linear_step(tw_linear *l, const float *x, const int32_t *y, int n, double lr)
{
    struct step s = {l, x, y, n, (float)lr};
    double loss = 0;
    if (l->on != NULL)
        return send_weights(l) == 0 && tw_linear_device_step(l->on, &loss, x, y, n, s.lr) == 0 ? loss : -1;
    tw_panels_set(&l->weight, l->w, (size_t)l->D, 1, l->C, l->D, l->threads);
    tw_blocks_each(l->threads, tw_blocks_count(n, ROWS), forward_block, &s);
    tw_panels_set(&l->batch, x, 1, (size_t)l->D, l->D, n, l->threads);
    tw_blocks_each(l->threads, tw_blocks_count(l->C, ROWS) * tw_blocks_count(l->D, COLUMNS), backward_block, &s);
    for (int i = 0; i < n; i++)
        loss += l->loss[i];
    return loss;
}

struct count {
    tw_linear *l;
    const float *x;
    const int32_t *y;
    int64_t n;
    float *z;         /* [threads, ROWS, C] */
    int64_t (*hits)[2]; /* [threads]: integers, so the order of summation does not matter */
};

static void count_block(void *context, int block, int worker)
{
    const struct count *s = context;
    const int C = s->l->C;
    const int64_t first = (int64_t)block * ROWS;
    const int rows = (int)(s->n - first < ROWS ? s->n - first : ROWS);
    float *z = s->z + (size_t)worker * ROWS * C;
    tw_product(z, (size_t)C, s->x + (size_t)first * s->l->D, (size_t)s->l->D, 1, rows, &s->l->weight, false);
    add_bias(z, s->l->b, rows, C);
    for (int i = 0; i < rows; i++) {
        const int32_t y = s->y[first + i];
        const float *row = z + (size_t)i * C;
        int before = 0;
        for (int c = 0; c < C; c++)
            before += !(row[c] <= row[y]) || (row[c] == row[y] && c < y); /* written so that NaN makes it no hit */
        s->hits[worker][0] += before == 0;
        s->hits[worker][1] += before < 5;
    }
}

int tw_linear_count(int64_t hits[2], tw_linear *l, const float *x, const int32_t *y, int64_t n)
{
    if (l->on != NULL)
        return send_weights(l) != 0 ? -1 : tw_linear_device_count(l->on, hits, x, y, n);
    const int threads = tw_blocks_threads(l->threads);
    struct count s = {l, x, y, n, NULL, NULL};
    s.z = tw_calloc((size_t)threads * ROWS, (size_t)l->C * sizeof *s.z);
    s.hits = tw_calloc((size_t)threads, sizeof *s.hits);
    const bool ok = s.z != NULL && s.hits != NULL;
    if (ok) {
        tw_panels_set(&l->weight, l->w, (size_t)l->D, 1, l->C, l->D, l->threads);
        tw_blocks_each(l->threads, tw_blocks_count(n, ROWS), count_block, &s);
    }
    for (int t = 0; ok && t < threads; t++) {
        hits[0] += s.hits[t][0];
        hits[1] += s.hits[t][1];
    }
    free(s.z);
    free(s.hits);
    return ok ? 0 : -1;
}
