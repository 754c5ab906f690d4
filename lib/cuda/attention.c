/* Attention: cuDNN's fused kernels for 16-bit activations, where it has them; else own kernels (attention.cu). */
#include "cuda/attention.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <math.h>
#include <stdlib.h>

/* The plan of a pass at one shape, in the device's list: made at first use, which is in a step that is not recorded yet. */
struct tw_attention_pass {
    bool backward;
    int N, T, heads, width;
    tw_tuned tuned; /* plan NULL: cuDNN has none */
    struct tw_attention_pass *next;
};

static const float one = 1;

static size_t row_bytes(const tw_attention *a)
{
    return (size_t)a->N * (size_t)a->heads * (size_t)a->T * sizeof(float);
}

/* As tw_tune, with a warning if it fails. */
static int tune(struct tw_attention_pass *p, tw_dev *d, const tw_attention *a)
{
    const size_t y = row_bytes(a) / sizeof(float) * (size_t)a->width * tw_dtype_size(d->precision), qkv = 3 * y;
    const tw_tune_operand operand[] = {{TW_ATTENTION_Q, qkv}, {TW_ATTENTION_K, TW_TUNE_SHARED}, {TW_ATTENTION_V, TW_TUNE_SHARED},
                                       {TW_ATTENTION_Y, y}, {TW_ATTENTION_LOG_SUM, row_bytes(a)}, {TW_ATTENTION_SCALE, 0},
                                       {TW_ATTENTION_DQ, qkv}, {TW_ATTENTION_DK, TW_TUNE_SHARED}, {TW_ATTENTION_DV, TW_TUNE_SHARED},
                                       {TW_ATTENTION_DY, y}, {TW_ATTENTION_ONE, 0}, {TW_ATTENTION_ROWS, row_bytes(a)}};
    const tw_dnn_site here = {.handle = d->dnn};
    char key[160];
    tw_dnn b = {0};
    if (d->precision == TW_F32 || a->width % 8 != 0)
        return 0;
    cudnnBackendDescriptor_t graph = tw_attention_graph(&b, p->backward, a, d->precision, &here);
    tw_attention_key(key, sizeof key, p->backward, a, d->precision);
    const int rc = graph == NULL ? 0 : tw_tune(&p->tuned, d, key, graph, operand, p->backward ? 12 : 6, TW_ATTENTION_WORKSPACE);
    tw_dnn_fini(&b);
    if (rc < 0)
        tw_choice_failed(key);
    return rc;
}

/* The plan of a pass, made if need be. NULL and tw_error(). */
static const struct tw_attention_pass *pass_of(tw_dev *d, const tw_attention *a, bool backward)
{
    struct tw_attention_pass *p = d->attention;
    while (p != NULL && (p->backward != backward || p->N != a->N || p->T != a->T || p->heads != a->heads || p->width != a->width))
        p = p->next;
    if (p != NULL || (p = tw_calloc(1, sizeof *p)) == NULL)
        return p;
    *p = (struct tw_attention_pass){.backward = backward, .N = a->N, .T = a->T, .heads = a->heads, .width = a->width};
    int rc = tune(p, d, a) > 0; /* if it fails, the own kernels are used */
    if (rc == 0 && a->width > TW_ATTENTION_WIDTH)
        rc = tw_fail("attention heads %d wide in %s: a GPU takes at most %d", a->width, tw_dtype_name(d->precision), (int)TW_ATTENTION_WIDTH);
    if (rc < 0) {
        free(p);
        return NULL;
    }
    p->next = d->attention;
    return d->attention = p;
}

void tw_attention_close(tw_dev *d)
{
    while (d->attention != NULL) {
        struct tw_attention_pass *p = d->attention;
        d->attention = p->next;
        tw_tuned_fini(&p->tuned);
        free(p);
    }
}

/* The queries (i 0), keys (1) or values (2) of a packed tensor. */
static void *part(const tw_dev *d, const tw_attention *a, const void *qkv, int i)
{
    return (char *)qkv + (size_t)i * (size_t)a->heads * (size_t)a->width * tw_dtype_size(d->precision);
}

int tw_cuda_attention_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv)
{
    float scale = 1 / sqrtf((float)a->width);
    const struct tw_attention_pass *p = pass_of(d, a, false);
    if (p == NULL)
        return -1;
    if (p->tuned.plan == NULL)
        return tw_launch_attention(a, y, qkv, d->precision, d->stream);
    float *log_sum = a->train ? a->log_sum : tw_dev_scratch(d, TW_SCRATCH_PARTIAL, row_bytes(a));
    const tw_dnn_operand operand[] = {{TW_ATTENTION_Q, part(d, a, qkv, 0)}, {TW_ATTENTION_K, part(d, a, qkv, 1)},
                                      {TW_ATTENTION_V, part(d, a, qkv, 2)}, {TW_ATTENTION_Y, y}, {TW_ATTENTION_LOG_SUM, log_sum},
                                      {TW_ATTENTION_SCALE, &scale}};
    return log_sum == NULL ? -1 : tw_tuned_run(&p->tuned, d, operand, 6);
}

int tw_cuda_attention_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv)
{
    float scale = 1 / sqrtf((float)a->width);
    const struct tw_attention_pass *p = pass_of(d, a, true);
    float *rows = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, row_bytes(a));
    if (p == NULL || rows == NULL)
        return -1;
    if (p->tuned.plan == NULL)
        return tw_launch_attention_backward(a, rows, dqkv, dy, y, qkv, d->precision, d->stream);
    const tw_dnn_operand operand[] = {{TW_ATTENTION_Q, part(d, a, qkv, 0)}, {TW_ATTENTION_K, part(d, a, qkv, 1)},
                                      {TW_ATTENTION_V, part(d, a, qkv, 2)}, {TW_ATTENTION_Y, (void *)y},
                                      {TW_ATTENTION_LOG_SUM, a->log_sum}, {TW_ATTENTION_SCALE, &scale},
                                      {TW_ATTENTION_DQ, part(d, a, dqkv, 0)}, {TW_ATTENTION_DK, part(d, a, dqkv, 1)},
                                      {TW_ATTENTION_DV, part(d, a, dqkv, 2)}, {TW_ATTENTION_DY, (void *)dy},
                                      {TW_ATTENTION_ONE, (void *)&one}, {TW_ATTENTION_ROWS, rows}};
    return tw_tuned_run(&p->tuned, d, operand, 12);
}
