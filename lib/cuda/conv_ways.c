#include "cuda/conv_parts.h"

#include "cuda/ops.h"

static int allocate(tw_conv_trial *t)
{
    tw_dev *d = t->c->dev;
    const tw_conv_shape *s = &t->c->shape;
    const size_t x = (size_t)s->N * (size_t)(s->H * s->W * s->C) * tw_dtype_size(d->precision), y = tw_conv_output_bytes(t->c);
    const size_t C = (size_t)s->C, K = (size_t)s->K;
    t->reader = (tw_norm){.rows = (int64_t)s->N * s->OH * s->OW, .C = s->K, .sums = tw_cuda_alloc(d, 2 * K * sizeof(double))};
    t->maker = (tw_norm){.rows = (int64_t)s->N * s->H * s->W, .C = s->C, .add = s->add, .relu = s->relu};
    t->maker.mean = tw_cuda_alloc(d, 2 * C * sizeof(float));
    t->maker.rstd = t->maker.mean + s->C;
    t->maker.sums = tw_cuda_alloc(d, 2 * C * sizeof(double));
    t->mask = tw_cuda_alloc(d, s->norms != 0 && s->add ? tw_cuda_norm_mask_bytes(d, t->maker.rows, s->C) : 0);
    t->x = tw_cuda_alloc(d, x);
    t->y = tw_cuda_alloc(d, y);
    t->shortcut = tw_cuda_alloc(d, y);
    t->made = tw_cuda_alloc(d, s->norms != 0 ? x : 0);
    t->added = tw_cuda_alloc(d, s->norms != 0 && s->add ? x : 0);
    t->dw = tw_cuda_alloc(d, C * K * (size_t)(s->size * s->size) * sizeof *t->dw);
    if (t->reader.sums == NULL || t->maker.mean == NULL || t->maker.sums == NULL || t->mask == NULL || t->x == NULL || t->y == NULL ||
        t->shortcut == NULL || t->made == NULL || t->added == NULL || t->dw == NULL)
        return -1;
    return tw_cuda_zero(d, t->c->w, tw_cuda_conv_bytes(t->c));
}

static void release(tw_conv_trial *t)
{
    cudaFree(t->reader.sums);
    cudaFree(t->maker.mean);
    cudaFree(t->maker.sums);
    cudaFree(t->mask);
    cudaFree(t->x);
    cudaFree(t->y);
    cudaFree(t->shortcut);
    cudaFree(t->made);
    cudaFree(t->added);
    cudaFree(t->dw);
}

typedef struct {
    tw_conv *c;
    tw_tuned *plan;
    const tw_dnn_pass *pass;
    int n;
    tw_conv_kind kind;
    int (*one)(void *trial), (*apart)(void *trial);
} ways;

static int make(void *arg)
{
    const ways *w = arg;
    int rc = 1;
    for (int i = 0; i < w->n && rc > 0; i++)
        rc = tw_conv_tune(w->c, &w->plan[i], w->pass[i], &w->c->shape, w->kind);
    return rc;
}

/* As tw_choice_time, on memory allocated for that. */
static int compare(void *arg)
{
    const ways *w = arg;
    tw_conv_trial t = {.c = w->c};
    const int better = allocate(&t) != 0 ? -1 : tw_choice_time(w->c->dev, w->one, w->apart, &t);
    release(&t);
    return better;
}

void tw_conv_choose(tw_conv *c, tw_tuned *plan, const tw_dnn_pass *pass, int n, tw_conv_kind kind, int (*one)(void *trial),
                    int (*apart)(void *trial))
{
    char key[160];
    ways w = {c, plan, pass, n, kind, one, apart};
    tw_conv_key(key, sizeof key, pass[0], &c->shape, c->dev->precision, kind);
    if (!tw_choice(c->dev, key, make, compare, &w))
        for (int i = 0; i < n; i++)
            tw_tuned_fini(&plan[i]);
}
