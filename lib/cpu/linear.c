/* Linear layers. In training three matrix products, on the plain weights or in bf16 on copies in the layouts that the products prefer; the weight
 * gradient's adds in place. In evaluation a product in tiles (tiles.h), so that a picture's features do not depend on the rest of the batch. */
#include "cpu/ops.h"

#include "core/mem.h"
#include "cpu/outer.h"
#include "cpu/prim.h"
#include "cpu/tiles.h"
#include "cpu/vec.h"

#include <stdlib.h>

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    tw_conv_shape shape; /* as a 1x1 convolution */
    bool outer;         /* weight gradient by the own kernel (outer.h) */
    tw_tiles *tiles;    /* evaluation; NULL in training */
    tw_prim forward, data, weights;
    const float *w, *b; /* borrowed */
    tw_prim to_forward, to_data;
    void *w_forward, *w_data; /* the weights in bf16, in the layouts of the two products; NULL in f32 */
    size_t bytes;
};

/* Allocates *w in the layout of p's weights [D,N], and makes the copy into it from the plain ones [K,C]. */
static int pack_weights(tw_linear *l, tw_prim *copy, void **w, const tw_prim *p, int D, int N, bool transposed)
{
    tw_const_md to = tw_prim_md(p, dnnl_query_weights_md);
    const size_t bytes = dnnl_memory_desc_get_size(to);
    tw_md from = tw_md_matrix(D, N, transposed, dnnl_f32);
    *w = tw_alloc64(bytes);
    l->bytes += bytes;
    const int rc = *w != NULL && from != NULL ? tw_prim_reorder(copy, l->dev, from, to, false) : -1;
    tw_md_free(from);
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
        l->tiles = tw_tiles_new(d, rows, C, K);
        if (l->tiles == NULL)
            goto err;
        l->bytes = tw_tiles_bytes(l->tiles);
        return l;
    }
    const bool packed = d->precision != TW_F32;
    const tw_product forward = {rows, C, K, .weights_transposed = true, .src_type = t, .dst_type = t, .bias = true, .packed = packed};
    const tw_product data = {rows, K, C, .src_type = t, .dst_type = t, .packed = packed};
    const tw_product weights = {K, rows, C, .src_transposed = true, .src_type = t, .dst_type = dnnl_f32, .add = true};
    l->outer = tw_outer_suits(d, &l->shape);
    if (tw_prim_product(&l->forward, d, &forward) != 0 || tw_prim_product(&l->data, d, &data) != 0 ||
        (l->outer ? tw_outer_reserve(d, &l->shape) : tw_prim_product(&l->weights, d, &weights)) != 0)
        goto err;
    if (packed && (pack_weights(l, &l->to_forward, &l->w_forward, &l->forward, C, K, true) != 0 ||
                   pack_weights(l, &l->to_data, &l->w_data, &l->data, K, C, false) != 0))
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
    tw_tiles_free(l->tiles);
    tw_prim_fini(&l->forward);
    tw_prim_fini(&l->data);
    tw_prim_fini(&l->weights);
    tw_prim_fini(&l->to_forward);
    tw_prim_fini(&l->to_data);
    free(l->w_forward);
    free(l->w_data);
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
    if (l->tiles != NULL)
        return tw_tiles_weights(l->tiles, w);
    if (l->w_forward == NULL)
        return 0;
    if (tw_prim_run(&l->to_forward, l->dev, (void *[]){(void *)w, l->w_forward}) != 0)
        return -1;
    return tw_prim_run(&l->to_data, l->dev, (void *[]){(void *)w, l->w_data});
}

int tw_cpu_linear_forward(tw_linear *l, void *y, const void *x)
{
    if (l->tiles != NULL)
        return tw_tiles_run(l->tiles, y, x, l->b);
    return tw_prim_run(&l->forward, l->dev, (void *[]){y, (void *)x, l->w_forward != NULL ? l->w_forward : (void *)l->w, (void *)l->b});
}

int tw_cpu_linear_backward_data(tw_linear *l, void *dx, const void *dy)
{
    return tw_prim_run(&l->data, l->dev, (void *[]){dx, (void *)dy, l->w_data != NULL ? l->w_data : (void *)l->w});
}

enum { COLUMNS = 64 }; /* of the bias gradient that a thread sums at a time, row by row */

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
    if (l->outer)
        return tw_outer_add(l->dev, &l->shape, dw, db, x, dy);
#pragma omp parallel for schedule(static)
    for (int k = 0; k < l->K; k += COLUMNS)
        bias_gradient(db, dy, (size_t)k, (size_t)tw_min(COLUMNS, l->K - k), (size_t)l->rows, (size_t)l->K, l->dev->precision);
    return tw_prim_run(&l->weights, l->dev, (void *[]){dw, (void *)dy, (void *)x});
}
