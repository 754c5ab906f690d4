#include "eval/linear_device.h"

#include "core/mem.h"
#include "nn/backend.h"

#include <stdlib.h>

enum { TOP = 5 };

struct tw_linear_device {
    const tw_backend *be;
    tw_dev *dev;
    int C, D, B, top;
    float momentum, decay;
    tw_linear *product;  /* the backend's: [B,D] by [C,D] */
    float *w, *v, *g;    /* [C,D] */
    float *b, *bv, *bg;  /* [C] */
    float *z;            /* [B,C]: logits, then their gradient */
    int32_t *label;      /* [B] */
    double *loss, *host_loss;
    float *value;        /* [B,top] */
    int32_t *place, *host_place;
};

static void *memory(const tw_linear_device *l, size_t n, size_t size)
{
    void *p = l->be->alloc(l->dev, n * size); /* zeroed */
    if (p == NULL)
        tw_backend_failed(l->be);
    return p;
}

static int allocate(tw_linear_device *l)
{
    const size_t C = (size_t)l->C, B = (size_t)l->B, weights = C * (size_t)l->D, most = B * (size_t)l->top;
    l->host_loss = tw_calloc(B, sizeof *l->host_loss);
    l->host_place = tw_calloc(most, sizeof *l->host_place);
    if (l->host_loss == NULL || l->host_place == NULL || (l->w = memory(l, weights, sizeof(float))) == NULL ||
        (l->v = memory(l, weights, sizeof(float))) == NULL || (l->g = memory(l, weights, sizeof(float))) == NULL ||
        (l->b = memory(l, C, sizeof(float))) == NULL || (l->bv = memory(l, C, sizeof(float))) == NULL ||
        (l->bg = memory(l, C, sizeof(float))) == NULL || (l->z = memory(l, B * C, sizeof(float))) == NULL ||
        (l->label = memory(l, B, sizeof *l->label)) == NULL || (l->loss = memory(l, B, sizeof *l->loss)) == NULL ||
        (l->value = memory(l, most, sizeof *l->value)) == NULL || (l->place = memory(l, most, sizeof *l->place)) == NULL)
        return -1;
    l->product = l->be->linear_new(l->dev, l->B, l->D, l->C, true);
    return l->product != NULL ? 0 : tw_backend_failed(l->be);
}

tw_linear_device *tw_linear_device_new(const tw_eval_device *d, int C, int D, int B, float momentum, float decay)
{
    tw_linear_device *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_linear_device){.be = d->be, .dev = d->dev, .C = C, .D = D, .B = B, .top = C < TOP ? C : TOP, .momentum = momentum, .decay = decay};
    if (allocate(l) == 0)
        return l;
    tw_linear_device_free(l);
    return NULL;
}

void tw_linear_device_free(tw_linear_device *l)
{
    if (l == NULL)
        return;
    void *const block[] = {l->w, l->v, l->g, l->b, l->bv, l->bg, l->z, l->label, l->loss, l->value, l->place};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        l->be->release(l->dev, block[i]);
    l->be->linear_free(l->product);
    free(l->host_loss);
    free(l->host_place);
    free(l);
}

static size_t weight_bytes(const tw_linear_device *l)
{
    return (size_t)l->C * (size_t)l->D * sizeof *l->w;
}

int tw_linear_device_set(tw_linear_device *l, const float *w, const float *b)
{
    if (TW_BACKEND(l->be, l->be->upload(l->dev, l->w, w, weight_bytes(l))) != 0)
        return -1;
    return TW_BACKEND(l->be, l->be->upload(l->dev, l->b, b, (size_t)l->C * sizeof *b));
}

int tw_linear_device_get(const tw_linear_device *l, float *w, float *b)
{
    if (TW_BACKEND(l->be, l->be->download(l->dev, w, l->w, weight_bytes(l))) != 0)
        return -1;
    return TW_BACKEND(l->be, l->be->download(l->dev, b, l->b, (size_t)l->C * sizeof *b));
}

static int forward(tw_linear_device *l, const float *x)
{
    const tw_backend *be = l->be;
    return TW_BACKEND(be, be->linear_weights(l->product, l->w, l->b)) != 0 ? -1 : TW_BACKEND(be, be->linear_forward(l->product, l->z, x));
}

int tw_linear_device_step(tw_linear_device *l, double *loss, const float *x, const int32_t *y, int n, float lr)
{
    const tw_backend *be = l->be;
    const size_t C = (size_t)l->C, weights = C * (size_t)l->D;
    const tw_momentum k = {.grad = 1, .decay = l->decay, .momentum = l->momentum, .into = 1, .out = lr};
    if (TW_BACKEND(be, be->upload(l->dev, l->label, y, (size_t)n * sizeof *y)) != 0 || forward(l, x) != 0 ||
        TW_BACKEND(be, be->cross_entropy(l->dev, l->loss, l->z, l->label, l->B, n, l->C)) != 0 ||
        TW_BACKEND(be, be->zero(l->dev, l->g, weight_bytes(l))) != 0 || TW_BACKEND(be, be->zero(l->dev, l->bg, C * sizeof *l->bg)) != 0 ||
        TW_BACKEND(be, be->linear_backward_weights(l->product, l->g, l->bg, x, l->z)) != 0 ||
        TW_BACKEND(be, be->step_momentum(l->dev, l->w, l->v, l->g, weights, &k)) != 0 ||
        TW_BACKEND(be, be->step_momentum(l->dev, l->b, l->bv, l->bg, C, &k)) != 0 ||
        TW_BACKEND(be, be->download(l->dev, l->host_loss, l->loss, (size_t)n * sizeof *l->loss)) != 0)
        return -1;
    *loss = 0;
    for (int i = 0; i < n; i++)
        *loss += l->host_loss[i];
    return 0;
}

int tw_linear_device_count(tw_linear_device *l, int64_t hits[2], const float *x, const int32_t *y, int64_t n)
{
    const tw_backend *be = l->be;
    for (int64_t first = 0; first < n; first += l->B) {
        const int rows = (int)(n - first < l->B ? n - first : l->B);
        if (forward(l, x + (size_t)first * (size_t)l->D) != 0 ||
            TW_BACKEND(be, be->largest(l->dev, l->value, l->place, l->z, rows, l->C, l->top)) != 0 ||
            TW_BACKEND(be, be->download(l->dev, l->host_place, l->place, (size_t)(rows * l->top) * sizeof *l->place)) != 0)
            return -1;
        for (int i = 0; i < rows * l->top; i++) {
            const bool hit = l->host_place[i] == y[first + i / l->top];
            hits[0] += hit && i % l->top == 0;
            hits[1] += hit;
        }
    }
    return 0;
}
