/* Scaled dot-product attention composed of matrix products, reductions and pointwise operations. cuDNN recognises the pattern (that of its own
 * front end) and runs its flash attention kernels (Dao et al. 2022). */
#include "cuda/attention.h"

#include <stdio.h>

/* The graph being built. */
typedef struct {
    tw_dnn *dnn;
    const tw_attention *a;
    cudnnDataType_t type;
    int64_t between; /* uid of the next virtual tensor */
} builder;

typedef cudnnBackendDescriptor_t tensor;

enum { FIRST_BETWEEN = 100 };

/* The view [N,heads,T,width] of a tensor that has `parts` * heads * width numbers per token; across: transposed, [N,heads,width,T]. */
static tensor tokens(const builder *g, int64_t uid, int parts, bool across, tw_dnn_kind kind)
{
    const int64_t N = g->a->N, T = g->a->T, width = g->a->width, row = parts * g->a->heads * width;
    const int64_t dim[4] = {N, g->a->heads, across ? width : T, across ? T : width};
    const int64_t stride[4] = {T * row, width, across ? 1 : row, across ? row : 1};
    return tw_dnn_view(g->dnn, uid, g->type, dim, stride, kind);
}

static tensor packed(const builder *g, int64_t uid, bool across)
{
    return tokens(g, uid, 3, across, TW_DNN_MEMORY);
}

static tensor plain(const builder *g, int64_t uid)
{
    return tokens(g, uid, 1, false, TW_DNN_MEMORY);
}

/* A tensor f32 [N,heads,T,1]. */
static tensor rows(const builder *g, int64_t uid, tw_dnn_kind kind)
{
    const int64_t T = g->a->T, dim[4] = {g->a->N, g->a->heads, T, 1}, stride[4] = {g->a->heads * T, T, 1, 1};
    return tw_dnn_view(g->dnn, uid, CUDNN_DATA_FLOAT, dim, stride, kind);
}

static tensor rows_between(builder *g)
{
    return rows(g, g->between++, TW_DNN_VIRTUAL);
}

/* A virtual tensor [N,heads,T,T]. */
static tensor pairs(builder *g, cudnnDataType_t type, bool across)
{
    const int64_t T = g->a->T, heads = g->a->heads, dim[4] = {g->a->N, heads, T, T};
    const int64_t stride[4] = {heads * T * T, T * T, across ? 1 : T, across ? T : 1};
    return tw_dnn_view(g->dnn, g->between++, type, dim, stride, TW_DNN_VIRTUAL);
}

static tensor number(const builder *g, int64_t uid)
{
    static const int64_t one[4] = {1, 1, 1, 1};
    return tw_dnn_view(g->dnn, uid, CUDNN_DATA_FLOAT, one, one, TW_DNN_VALUE);
}

static tensor pairs_by(builder *g, cudnnPointwiseMode_t mode, tensor x, tensor other, cudnnDataType_t type)
{
    tensor y = pairs(g, type, false);
    tw_dnn_pointwise(g->dnn, mode, x, other, y);
    return y;
}

static tensor rows_by(builder *g, cudnnReduceTensorOp_t by, tensor x)
{
    tensor y = rows_between(g);
    tw_dnn_reduce(g->dnn, by, x, y);
    return y;
}

static tensor transposed(builder *g, tensor x)
{
    tensor y = pairs(g, g->type, true);
    tw_dnn_reshape(g->dnn, x, y);
    return y;
}

/* q k^T / sqrt(width) */
static tensor scores(builder *g, tensor q, tensor k_across, tensor scale)
{
    tensor s = pairs(g, CUDNN_DATA_FLOAT, false);
    tw_dnn_product(g->dnn, q, k_across, s);
    return pairs_by(g, CUDNN_POINTWISE_MUL, s, scale, CUDNN_DATA_FLOAT);
}

static void forward(builder *g)
{
    tensor q = packed(g, TW_ATTENTION_Q, false), k = packed(g, TW_ATTENTION_K, true), v = packed(g, TW_ATTENTION_V, false);
    tensor s = scores(g, q, k, number(g, TW_ATTENTION_SCALE));
    tensor most = rows_by(g, CUDNN_REDUCE_TENSOR_MAX, s);
    s = pairs_by(g, CUDNN_POINTWISE_SUB, s, most, CUDNN_DATA_FLOAT);
    s = pairs_by(g, CUDNN_POINTWISE_EXP, s, NULL, CUDNN_DATA_FLOAT);
    tensor sum = rows_by(g, CUDNN_REDUCE_TENSOR_ADD, s), log = rows_between(g);
    tw_dnn_pointwise(g->dnn, CUDNN_POINTWISE_LOG, sum, NULL, log);
    tw_dnn_pointwise(g->dnn, CUDNN_POINTWISE_ADD, most, log, rows(g, TW_ATTENTION_LOG_SUM, TW_DNN_MEMORY));
    tensor p = pairs_by(g, CUDNN_POINTWISE_DIV, s, sum, g->type);
    tw_dnn_product(g->dnn, p, v, plain(g, TW_ATTENTION_Y));
}

/* f32 [N,heads,T,1]: the sums of dy y over the width. */
static tensor dot_products(builder *g, tensor dy)
{
    const int64_t T = g->a->T, width = g->a->width, row = g->a->heads * width;
    const int64_t dim[4] = {g->a->N, g->a->heads, T, width}, stride[4] = {T * row, T * width, row, 1};
    tensor product = tw_dnn_view(g->dnn, g->between++, CUDNN_DATA_FLOAT, dim, stride, TW_DNN_VIRTUAL);
    tw_dnn_pointwise(g->dnn, CUDNN_POINTWISE_MUL, dy, plain(g, TW_ATTENTION_Y), product);
    tensor sums = rows(g, TW_ATTENTION_ROWS, TW_DNN_MEMORY);
    tw_dnn_pointwise(g->dnn, CUDNN_POINTWISE_MUL, rows_by(g, CUDNN_REDUCE_TENSOR_ADD, product), number(g, TW_ATTENTION_ONE), sums);
    return sums;
}

/* dv = p^T dy; ds = p (dy v^T - rows) / sqrt(width); dk = ds^T q; dq = ds k. */
static void backward(builder *g)
{
    tensor q = packed(g, TW_ATTENTION_Q, false), k = packed(g, TW_ATTENTION_K, true), v = packed(g, TW_ATTENTION_V, true);
    tensor dy = plain(g, TW_ATTENTION_DY), scale = number(g, TW_ATTENTION_SCALE), sums = dot_products(g, dy);
    tensor s = scores(g, q, k, scale);
    s = pairs_by(g, CUDNN_POINTWISE_SUB, s, rows(g, TW_ATTENTION_LOG_SUM, TW_DNN_MEMORY), CUDNN_DATA_FLOAT);
    tensor p = pairs_by(g, CUDNN_POINTWISE_EXP, s, NULL, CUDNN_DATA_FLOAT);
    tw_dnn_product(g->dnn, transposed(g, p), dy, packed(g, TW_ATTENTION_DV, false));
    tensor ds = pairs(g, CUDNN_DATA_FLOAT, false);
    tw_dnn_product(g->dnn, dy, v, ds);
    ds = pairs_by(g, CUDNN_POINTWISE_SUB, ds, sums, CUDNN_DATA_FLOAT);
    ds = pairs_by(g, CUDNN_POINTWISE_MUL, ds, p, CUDNN_DATA_FLOAT);
    ds = pairs_by(g, CUDNN_POINTWISE_MUL, ds, scale, g->type);
    tw_dnn_product(g->dnn, transposed(g, ds), q, packed(g, TW_ATTENTION_DK, false));
    tensor upright = tokens(g, g->between++, 3, false, TW_DNN_VIRTUAL);
    tw_dnn_reshape(g->dnn, k, upright);
    tw_dnn_product(g->dnn, ds, upright, packed(g, TW_ATTENTION_DQ, false));
}

cudnnBackendDescriptor_t tw_attention_graph(tw_dnn *b, bool backward_pass, const tw_attention *a, tw_dtype t, const tw_dnn_site *at)
{
    builder g = {b, a, tw_dnn_type(t), FIRST_BETWEEN};
    if (backward_pass)
        backward(&g);
    else
        forward(&g);
    return tw_dnn_finish(b, at);
}

void tw_attention_key(char *key, size_t size, bool backward_pass, const tw_attention *a, tw_dtype t)
{
    snprintf(key, size, "attention %s %s %d %d %d %d", backward_pass ? "backward" : "forward", tw_dtype_name(t), a->N, a->T, a->heads, a->width);
}
