/* Linear layer and GELU fused, for 16-bit activations, where cuDNN has such plans and they are no slower than separate ones. */
#include "cuda/linear.h"

#include "core/mem.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <stdlib.h>

enum { MOST_OPERANDS = 5 };
static const size_t WORKSPACE = (size_t)256 << 20;

/* The plan of a pass at one shape, in the device's list: made at first use, which is in a step that is not recorded yet. */
struct tw_gelu_pass {
    tw_gelu_shape shape;
    tw_tuned tuned; /* plan NULL: separate passes are used */
    struct tw_gelu_pass *next;
};

/* Operands of a pass. Forward: x -> y (before the GELU), z (after it). Backward: dy and y (the GELU's input) -> x (the gradient of that input). */
typedef struct {
    tw_linear *l;
    const tw_tuned *tuned;
    bool backward;
    void *x, *y, *z;
} work;

static int together(void *arg)
{
    const work *k = arg;
    const tw_linear *l = k->l;
    void *w = (void *)tw_linear_weights_of(l);
    const tw_dnn_operand forward[] = {{TW_LINEAR_X, k->x}, {TW_LINEAR_W, w}, {TW_LINEAR_BIAS, l->bias}, {TW_LINEAR_Z, k->z}, {TW_LINEAR_Y, k->y}};
    const tw_dnn_operand backward[] = {{TW_LINEAR_DY, k->z}, {TW_LINEAR_W, w}, {TW_LINEAR_BEFORE, k->y}, {TW_LINEAR_DX, k->x}};
    return tw_tuned_run(k->tuned, l->dev, k->backward ? backward : forward, k->backward || !l->train ? 4 : 5);
}

static int apart(void *arg)
{
    const work *k = arg;
    tw_linear *l = k->l;
    if (k->backward)
        return tw_cuda_linear_backward_data(l, k->x, k->z) != 0
                   ? -1
                   : tw_cuda_gelu_backward(l->dev, k->x, k->x, k->y, (size_t)l->rows * (size_t)l->C);
    return tw_cuda_linear_forward(l, k->y, k->x) != 0 ? -1 : tw_cuda_gelu_forward(l->dev, k->z, k->y, (size_t)l->rows * (size_t)l->K);
}

typedef struct {
    tw_linear *l;
    struct tw_gelu_pass *pass;
    const char *key;
} choice;

/* As tw_tune. */
static int make(void *arg)
{
    const choice *k = arg;
    const tw_linear *l = k->l;
    const tw_gelu_shape *s = &k->pass->shape;
    const tw_dnn_site here = {.handle = l->dev->dnn};
    const size_t each = tw_dtype_size(l->dev->precision), x = (size_t)s->rows * (size_t)s->C * each, y = (size_t)s->rows * (size_t)s->K * each;
    const size_t w = (size_t)s->C * (size_t)s->K * each;
    const tw_tune_operand forward[] = {{TW_LINEAR_X, x}, {TW_LINEAR_W, w}, {TW_LINEAR_BIAS, (size_t)s->K * each}, {TW_LINEAR_Z, y}, {TW_LINEAR_Y, y}};
    const tw_tune_operand backward[] = {{TW_LINEAR_DY, y}, {TW_LINEAR_W, w}, {TW_LINEAR_BEFORE, x}, {TW_LINEAR_DX, x}};
    const int n = s->backward || !s->train ? 4 : 5;
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_linear_graph(&b, s, l->dev->precision, &here);
    const int rc = graph == NULL ? 0 : tw_tune(&k->pass->tuned, l->dev, k->key, graph, s->backward ? backward : forward, n, WORKSPACE);
    tw_dnn_fini(&b);
    return rc;
}

/* As tw_choice_time, on memory allocated for that. */
static int compare(void *arg)
{
    const choice *c = arg;
    tw_dev *d = c->l->dev;
    const tw_gelu_shape *s = &c->pass->shape;
    const size_t each = tw_dtype_size(d->precision), x = (size_t)s->rows * (size_t)s->C * each, y = (size_t)s->rows * (size_t)s->K * each;
    work k = {c->l, &c->pass->tuned, s->backward, tw_cuda_alloc(d, x), tw_cuda_alloc(d, s->backward ? x : y), tw_cuda_alloc(d, y)};
    const int better = k.x == NULL || k.y == NULL || k.z == NULL ? -1 : tw_choice_time(d, together, apart, &k);
    cudaFree(k.x);
    cudaFree(k.y);
    cudaFree(k.z);
    return better;
}

static void choose(struct tw_gelu_pass *p, tw_linear *l)
{
    char key[128];
    tw_linear_key(key, sizeof key, &p->shape, l->dev->precision);
    if (l->dev->precision != TW_F32 && l->C % 8 == 0 && l->K % 8 == 0 && !tw_choice(l->dev, key, make, compare, &(choice){l, p, key}))
        tw_tuned_fini(&p->tuned);
}

static bool same(const tw_gelu_shape *a, const tw_gelu_shape *b)
{
    return a->backward == b->backward && a->train == b->train && a->rows == b->rows && a->C == b->C && a->K == b->K;
}

/* The plan of a pass, made if need be. NULL and tw_error(). */
static const struct tw_gelu_pass *pass_of(tw_linear *l, bool backward)
{
    const tw_gelu_shape s = {.backward = backward, .train = l->train, .rows = l->rows, .C = l->C, .K = l->K};
    struct tw_gelu_pass *p = l->dev->gelu;
    while (p != NULL && !same(&p->shape, &s))
        p = p->next;
    if (p != NULL || (p = tw_calloc(1, sizeof *p)) == NULL)
        return p;
    *p = (struct tw_gelu_pass){.shape = s, .next = l->dev->gelu};
    choose(p, l);
    return l->dev->gelu = p;
}

static int run(work *k)
{
    const struct tw_gelu_pass *p = pass_of(k->l, k->backward);
    if (p == NULL)
        return -1;
    k->tuned = &p->tuned;
    return p->tuned.plan != NULL ? together(k) : apart(k);
}

int tw_cuda_linear_forward_gelu(tw_linear *l, void *z, void *y, const void *x)
{
    work k = {.l = l, .x = (void *)x, .y = y, .z = z};
    return run(&k);
}

int tw_cuda_linear_backward_gelu(tw_linear *l, void *dx, const void *dy, const void *before)
{
    work k = {.l = l, .backward = true, .x = dx, .y = (void *)before, .z = (void *)dy};
    return run(&k);
}

void tw_linear_gelu_close(tw_dev *d)
{
    while (d->gelu != NULL) {
        struct tw_gelu_pass *p = d->gelu;
        d->gelu = p->next;
        tw_tuned_fini(&p->tuned);
        free(p);
    }
}
