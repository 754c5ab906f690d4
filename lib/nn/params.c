/* The tensors of the state dict: declared one by one while the network is built, then allocated (one block for the values, one for the
 * gradients) and initialised. */
#include "nn/model.h"

#include "core/mem.h"
#include "core/philox.h"
#include "core/pool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *join(const char *name, const char *suffix)
{
    const size_t size = strlen(name) + strlen(suffix) + 2;
    char *text = tw_calloc(size, 1);
    if (text != NULL)
        snprintf(text, size, "%s.%s", name, suffix);
    return text;
}

/* Appends the tensor NAME.SUFFIX (suffix NULL: NAME); errors are sticky. */
static void declare(tw_net *net, const char *name, const char *suffix, tw_dtype dtype, bool trained, tw_init_rule rule, int rank,
                    const int64_t *dim)
{
    if (net->failed)
        return;
    char *full = suffix != NULL ? join(name, suffix) : strdup(name);
    if (full == NULL || tw_grow(&net->param, &net->param_cap, (size_t)net->n_params + 1, sizeof *net->param) != 0 ||
        tw_grow(&net->rule, &net->rule_cap, (size_t)net->n_params + 1, sizeof *net->rule) != 0) {
        free(full);
        net->failed = true;
        return;
    }
    tw_param p = {.name = full, .rank = rank, .n = 1, .trained = trained, .decayed = trained && rank > 1, .dtype = dtype};
    for (int i = 0; i < rank; i++) {
        p.dim[i] = dim[i];
        p.n *= (size_t)dim[i];
    }
    net->rule[net->n_params] = rule;
    net->param[net->n_params++] = p;
}

int tw_declare_conv(tw_net *net, const char *name, int C, int K, int size)
{
    const int first = net->n_params;
    /* Kaiming normal: fan-out, ReLU's gain */
    declare(net, name, "weight", TW_F32, true, (tw_init_rule){TW_INIT_NORMAL, sqrt(2.0 / ((double)K * size * size))}, 4,
            (int64_t[]){K, C, size, size});
    return first;
}

int tw_declare_norm(tw_net *net, const char *name, int C, bool affine)
{
    const int first = net->n_params;
    const tw_init_rule zero = {TW_INIT_ZERO, 0}, one = {TW_INIT_ONE, 0};
    const int64_t dim[] = {C};
    if (affine) {
        declare(net, name, "weight", TW_F32, true, one, 1, dim);
        declare(net, name, "bias", TW_F32, true, zero, 1, dim);
    }
    declare(net, name, "running_mean", TW_F32, false, zero, 1, dim);
    declare(net, name, "running_var", TW_F32, false, one, 1, dim);
    declare(net, name, "num_batches_tracked", TW_I64, false, zero, 0, dim);
    return first;
}

int tw_declare_layer_norm(tw_net *net, const char *name, int C)
{
    const int first = net->n_params;
    const int64_t dim[] = {C};
    declare(net, name, "weight", TW_F32, true, (tw_init_rule){TW_INIT_ONE, 0}, 1, dim);
    declare(net, name, "bias", TW_F32, true, (tw_init_rule){TW_INIT_ZERO, 0}, 1, dim);
    return first;
}

int tw_declare_token(tw_net *net, const char *name, int tokens, int C)
{
    const int first = net->n_params;
    declare(net, name, NULL, TW_F32, true, (tw_init_rule){TW_INIT_TRUNCATED, 0.02}, 3, (int64_t[]){1, tokens, C});
    if (!net->failed)
        net->param[first].decayed = false;
    return first;
}

int tw_declare_patches(tw_net *net, const char *name, int K, int patch)
{
    const int first = net->n_params;
    /* PyTorch's default for a convolution, which timm and DINO keep */
    const tw_init_rule uniform = {TW_INIT_UNIFORM, 1 / sqrt(3.0 * patch * patch)};
    declare(net, name, "weight", TW_F32, true, uniform, 4, (int64_t[]){K, 3, patch, patch});
    declare(net, name, "bias", TW_F32, true, uniform, 1, (int64_t[]){K});
    return first;
}

int tw_declare_linear(tw_net *net, const char *name, int C, int K, bool truncated)
{
    const int first = net->n_params;
    const tw_init_rule uniform = {TW_INIT_UNIFORM, 1 / sqrt((double)C)}, normal = {TW_INIT_TRUNCATED, 0.02};
    declare(net, name, "weight", TW_F32, true, truncated ? normal : uniform, 2, (int64_t[]){K, C});
    declare(net, name, "bias", TW_F32, true, truncated ? (tw_init_rule){TW_INIT_ZERO, 0} : uniform, 1, (int64_t[]){K});
    return first;
}

static double truncated_normal(tw_rng *rng, double deviation)
{
    for (;;) {
        const double v = deviation * tw_rng_normal(rng);
        if (v >= -2 && v <= 2)
            return v;
    }
}

int tw_declare_classifier(tw_net *net, const char *name, int C, int K)
{
    const int first = net->n_params;
    declare(net, name, "weight", TW_F32, true, (tw_init_rule){TW_INIT_NORMAL, 0.01}, 2, (int64_t[]){K, C});
    declare(net, name, "bias", TW_F32, true, (tw_init_rule){TW_INIT_ZERO, 0}, 1, (int64_t[]){K});
    return first;
}

/* Elements from .. from + n - 1 of a tensor: a job of the thread pool. */
typedef struct {
    const tw_net *net;
    int param;
    size_t from, n;
} piece;

enum { PIECE = 1 << 18 };

/* Elements made from one block of Philox; 0: not known in advance, as truncated normals are redrawn. tw_rng_normal never exceeds 9 deviations,
 * so with a small scale nothing is redrawn. */
static size_t numbers_a_block(tw_init_rule rule)
{
    return rule.kind == TW_INIT_UNIFORM ? 2 : rule.kind != TW_INIT_TRUNCATED || 9 * rule.scale < 2 ? 1 : 0;
}

/* A tensor's values depend on the seed and on its number in the state dict only, not on other tensors or the number of threads. */
static void fill(void *job, int worker, void *context)
{
    const piece *f = job;
    const tw_param *p = &f->net->param[f->param];
    const tw_init_rule rule = f->net->rule[f->param];
    tw_rng rng;
    (void)worker, (void)context;
    tw_rng_init(&rng, f->net->config.seed, TW_USE_INIT, (uint64_t)f->param, 0, 0);
    if (f->from > 0)
        tw_rng_seek(&rng, (uint32_t)(f->from / numbers_a_block(rule)));
    float *v = (float *)p->value + f->from;
    for (size_t k = 0; k < f->n; k++)
        switch (rule.kind) {
        case TW_INIT_ZERO: v[k] = 0; break;
        case TW_INIT_ONE: v[k] = 1; break;
        case TW_INIT_NORMAL: v[k] = (float)(rule.scale * tw_rng_normal(&rng)); break;
        case TW_INIT_UNIFORM: v[k] = (float)tw_rng_between(&rng, -rule.scale, rule.scale); break;
        case TW_INIT_TRUNCATED: v[k] = (float)truncated_normal(&rng, rule.scale); break;
        }
}

/* Cuts the tensors into pieces; *last: their number. NULL and tw_error(). */
static piece *cut(const tw_net *net, size_t *last)
{
    size_t most = 0;
    for (int i = 0; i < net->n_params; i++)
        most += net->param[i].n / PIECE + 1;
    piece *f = tw_calloc(most, sizeof *f);
    *last = 0;
    for (int i = 0; f != NULL && i < net->n_params; i++) {
        const size_t n = net->param[i].n, each = numbers_a_block(net->rule[i]) > 0 ? PIECE : n;
        for (size_t from = 0; net->param[i].dtype == TW_F32 && from < n; from += each) /* num_batches_tracked starts at 0 */
            f[(*last)++] = (piece){net, i, from, n - from < each ? n - from : each};
    }
    return f;
}

static int fill_all(const tw_net *net)
{
    size_t n;
    piece *f = cut(net, &n);
    if (f == NULL)
        return -1;
    tw_pool *pool = tw_pool_new(net->config.threads > 1 ? net->config.threads : 0, 0, fill, NULL);
    for (size_t i = 0; pool != NULL && i < n; i++) {
        if (tw_pool_full(pool))
            tw_pool_take(pool);
        tw_pool_submit(pool, &f[i]);
    }
    tw_pool_free(pool);
    free(f);
    return pool != NULL ? 0 : -1;
}

/* Every tensor starts on a cache line, for aligned vector loads. */
static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Places the trained tensors, or the buffers, in the block from byte `at` on. Returns their end. */
static size_t place(tw_net *net, size_t at, bool trained)
{
    for (int i = 0; i < net->n_params; i++) {
        tw_param *p = &net->param[i];
        if (p->trained != trained)
            continue;
        p->value = (char *)net->values + at;
        p->device = p->dtype == TW_F32 ? (float *)((char *)net->device + at) : NULL;
        at += padded(p->n * tw_dtype_size(p->dtype));
    }
    return at;
}

int tw_params_allocate(tw_net *net)
{
    if (net->failed)
        return -1;
    size_t bytes = 0;
    for (int i = 0; i < net->n_params; i++)
        bytes += padded(net->param[i].n * tw_dtype_size(net->param[i].dtype));
    net->device = net->be->alloc(net->dev, bytes);
    if (net->device == NULL)
        return tw_backend_failed(net->be);
    net->values = net->be->unified ? net->device : tw_calloc(1, bytes);
    if (net->values == NULL)
        return -1;
    const size_t first = place(net, 0, true), end = place(net, first, false);
    net->buffers = (float *)((char *)net->device + first);
    net->buffers_bytes = end - first;
    if (!net->config.blank && fill_all(net) != 0)
        return -1;
    return tw_net_upload(net);
}

float *tw_net_buffers(const tw_net *net, size_t *bytes)
{
    *bytes = net->buffers_bytes;
    return net->buffers;
}

int tw_params_gradients(tw_net *net)
{
    if (net->grads != NULL)
        return 0;
    for (int i = 0; i < net->n_params; i++)
        net->grads_bytes += net->param[i].trained ? padded(net->param[i].n * sizeof(float)) : 0;
    net->grads = net->be->alloc(net->dev, net->grads_bytes);
    if (net->grads == NULL)
        return tw_backend_failed(net->be);
    float *grad = net->grads;
    for (int i = 0; i < net->n_params; i++) {
        tw_param *p = &net->param[i];
        if (!p->trained)
            continue;
        p->grad = grad;
        grad += padded(p->n * sizeof(float)) / sizeof(float);
    }
    return 0;
}

float *tw_net_gradients(const tw_net *net, size_t *n)
{
    *n = net->grads_bytes / sizeof *net->grads;
    return net->grads;
}

void tw_params_free(tw_net *net)
{
    for (int i = 0; i < net->n_params; i++)
        free((char *)net->param[i].name);
    if (net->dev != NULL) {
        if (!net->be->unified)
            free(net->values);
        net->be->release(net->dev, net->device);
        net->be->release(net->dev, net->grads);
    }
    free(net->param);
    free(net->rule);
}
