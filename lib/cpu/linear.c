/* Linear layers. In training: three matrix products on the plain weights, which the gradient's one adds to in place. In
 * evaluation a 1x1 convolution: its bits depend neither on the number of rows nor on the threads, a matrix product's do. */
#include "cpu/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/prim.h"
#include "cpu/vec.h"

#include <stdlib.h>

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    tw_conv *conv;      /* of evaluation; NULL in training */
    tw_prim forward, data, weights;
    const float *w, *b; /* borrowed */
    tw_prim to_bf16;
    void *narrow;       /* the weights in bf16; NULL in f32 */
    size_t bytes;
};

/* [a,b] row-major, or the transposed view of a [b,a] matrix. */
static tw_md matrix(int a, int b, bool transposed, dnnl_data_type_t type)
{
    const dnnl_dims_t dim = {a, b}, stride = {transposed ? 1 : b, transposed ? a : 1};
    return tw_md_new(2, dim, type, stride);
}

/* dst = src x weights (+ bias), or added to dst. Takes the descriptors over. */
static int product(tw_prim *p, tw_linear *l, tw_md src, tw_md weights, tw_md bias, tw_md dst, bool add)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DST, dnnl_query_dst_md}, {DNNL_ARG_SRC, dnnl_query_src_md},
                                      {DNNL_ARG_WEIGHTS, dnnl_query_weights_md}};
    dnnl_primitive_attr_t attr = tw_prim_attr(add);
    int rc = -1;
    if (src == NULL || weights == NULL || dst == NULL)
        tw_fail("linear layer of %d x %d: refused by oneDNN", l->C, l->K);
    else if (attr != NULL)
        rc = TW_DNNL(tw_matmul_pd(&p->pd, l->dev->engine, src, weights, bias, dst, attr));
    if (rc == 0)
        rc = tw_prim_make(p, l->dev, arg, 3);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    tw_md_free(src);
    tw_md_free(weights);
    tw_md_free(bias);
    tw_md_free(dst);
    return rc;
}

static int narrow_weights(tw_linear *l)
{
    if (l->dev->precision == TW_F32)
        return 0;
    l->bytes = (size_t)l->K * (size_t)l->C * 2;
    l->narrow = tw_alloc64(l->bytes);
    tw_md from = matrix(l->K, l->C, false, dnnl_f32), to = matrix(l->K, l->C, false, dnnl_bf16);
    int rc = -1;
    if (l->narrow != NULL && from != NULL && to != NULL)
        rc = tw_prim_reorder(&l->to_bf16, l->dev, from, to, false);
    tw_md_free(from);
    tw_md_free(to);
    return rc;
}

tw_linear *tw_cpu_linear_new(tw_dev *d, int rows, int C, int K, bool train)
{
    tw_linear *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_linear){.dev = d, .rows = rows, .C = C, .K = K};
    const dnnl_data_type_t t = tw_dnnl_type(d->precision);
    if (!train) {
        const tw_conv_shape s = {.N = rows, .H = 1, .W = 1, .C = C, .OH = 1, .OW = 1, .K = K, .size = 1, .stride = 1};
        l->conv = tw_cpu_conv_new(d, &s);
        if (l->conv == NULL)
            goto err;
        l->bytes = tw_cpu_conv_bytes(l->conv);
        return l;
    }
    if (narrow_weights(l) != 0 ||
        product(&l->forward, l, matrix(rows, C, false, t), matrix(C, K, true, t), NULL, matrix(rows, K, false, t), false) != 0 ||
        product(&l->data, l, matrix(rows, K, false, t), matrix(K, C, false, t), NULL, matrix(rows, C, false, t), false) != 0 ||
        product(&l->weights, l, matrix(K, rows, true, t), matrix(rows, C, false, t), NULL, matrix(K, C, false, dnnl_f32), true) !=
            0)
        goto err;
    return l;
err:
    tw_cpu_linear_free(l);
    return NULL;
}

void tw_cpu_linear_free(tw_linear *l)
{
    if (l == NULL)
        return;
    tw_cpu_conv_free(l->conv);
    tw_prim_fini(&l->forward);
    tw_prim_fini(&l->data);
    tw_prim_fini(&l->weights);
    tw_prim_fini(&l->to_bf16);
    free(l->narrow);
    free(l);
}

size_t tw_cpu_linear_bytes(const tw_linear *l)
{
    return l->bytes;
}

int tw_cpu_linear_weights(tw_linear *l, const float *w, const float *b)
{
    l->w = w;
    l->b = b;
    if (l->conv != NULL)
        return tw_cpu_conv_weights(l->conv, w);
    return l->narrow == NULL ? 0 : tw_prim_run(&l->to_bf16, l->dev, (void *[]){(void *)w, l->narrow});
}

static void *weights_of(const tw_linear *l)
{
    return l->narrow != NULL ? l->narrow : (void *)l->w;
}

TW_KERNEL void bias_any(void *restrict y, const float *restrict b, size_t row, size_t K, tw_dtype t)
{
    for (size_t k = 0; k < K; k++)
        tw_put(y, row * K + k, tw_get(y, row * K + k, t) + b[k], t);
}

TW_CLONES static void bias_row(void *y, const float *b, size_t row, size_t K, tw_dtype t)
{
    TW_BY_TYPE(t, bias_any, y, b, row, K);
}

int tw_cpu_linear_forward(tw_linear *l, void *y, const void *x)
{
    if ((l->conv != NULL ? tw_cpu_conv_forward(l->conv, y, x)
                         : tw_prim_run(&l->forward, l->dev, (void *[]){y, (void *)x, weights_of(l)})) != 0)
        return -1;
#pragma omp parallel for schedule(static)
    for (int row = 0; row < l->rows; row++)
        bias_row(y, l->b, (size_t)row, (size_t)l->K, l->dev->precision);
    return 0;
}

int tw_cpu_linear_backward_data(tw_linear *l, void *dx, const void *dy)
{
    return tw_prim_run(&l->data, l->dev, (void *[]){dx, (void *)dy, weights_of(l)});
}

enum { COLUMNS = 64 }; /* of the bias, added up by a thread at a time, row by row */

TW_KERNEL void bias_gradient_any(float *restrict db, const void *restrict dy, size_t k, size_t n, size_t rows, size_t K, tw_dtype t)
{
    float sum[COLUMNS] = {0};
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < n; i++)
            sum[i] += tw_get(dy, row * K + k + i, t);
    for (size_t i = 0; i < n; i++)
        db[k + i] += sum[i];
}

TW_CLONES static void bias_gradient(float *db, const void *dy, size_t k, size_t n, size_t rows, size_t K, tw_dtype t)
{
    TW_BY_TYPE(t, bias_gradient_any, db, dy, k, n, rows, K);
}

int tw_cpu_linear_backward_weights(tw_linear *l, float *dw, float *db, const void *x, const void *dy)
{
#pragma omp parallel for schedule(static)
    for (int k = 0; k < l->K; k += COLUMNS)
        bias_gradient(db, dy, (size_t)k, (size_t)tw_min(COLUMNS, l->K - k), (size_t)l->rows, (size_t)l->K, l->dev->precision);
    return tw_prim_run(&l->weights, l->dev, (void *[]){dw, (void *)dy, (void *)x});
}
