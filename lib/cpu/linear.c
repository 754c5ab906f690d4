/* Linear layers. In training: three matrix products on the plain weights, which the gradient's one adds to in place. In
 * evaluation a 1x1 convolution: its bits depend neither on the number of rows nor on the threads, a matrix product's do. */
#include "cpu/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/outer.h"
#include "cpu/prim.h"
#include "cpu/vec.h"

#include <stdlib.h>

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    tw_conv_shape shape; /* as a 1x1 convolution */
    bool outer;         /* the weights' gradient comes by the own kernel */
    tw_conv *conv;      /* of evaluation; NULL in training */
    tw_prim forward, data, weights;
    const float *w, *b; /* borrowed */
    tw_prim to_bf16;
    void *narrow;       /* the weights in bf16; NULL in f32 */
    size_t bytes;
};

static int narrow_weights(tw_linear *l)
{
    if (l->dev->precision == TW_F32)
        return 0;
    l->bytes = (size_t)l->K * (size_t)l->C * 2;
    l->narrow = tw_alloc64(l->bytes);
    tw_md from = tw_md_matrix(l->K, l->C, false, dnnl_f32), to = tw_md_matrix(l->K, l->C, false, dnnl_bf16);
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
    l->shape = (tw_conv_shape){.N = rows, .H = 1, .W = 1, .C = C, .OH = 1, .OW = 1, .K = K, .size = 1, .stride = 1, .train = train};
    const dnnl_data_type_t t = tw_dnnl_type(d->precision);
    if (!train) {
        l->conv = tw_cpu_conv_new(d, &l->shape);
        if (l->conv == NULL)
            goto err;
        l->bytes = tw_cpu_conv_bytes(l->conv);
        return l;
    }
    const tw_product forward = {rows, C, K, .weights_transposed = true, t, t}, data = {rows, K, C, .src_type = t, .dst_type = t};
    const tw_product weights = {K, rows, C, .src_transposed = true, .src_type = t, .dst_type = dnnl_f32, .add = true};
    l->outer = tw_outer_suits(d, &l->shape);
    if (narrow_weights(l) != 0 || tw_prim_product(&l->forward, d, &forward) != 0 || tw_prim_product(&l->data, d, &data) != 0 ||
        (l->outer ? tw_outer_reserve(d, &l->shape) : tw_prim_product(&l->weights, d, &weights)) != 0)
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
    return l->outer ? tw_outer_add(l->dev, &l->shape, dw, x, dy) : tw_prim_run(&l->weights, l->dev, (void *[]){dw, (void *)dy, (void *)x});
}
