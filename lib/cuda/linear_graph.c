#include "cuda/linear.h"

#include <stdio.h>

enum { PRODUCT = 100, SUM }; /* uids of virtual tensors */

cudnnBackendDescriptor_t tw_linear_graph(tw_dnn *b, const tw_gelu_shape *s, tw_dtype t, const tw_dnn_site *at)
{
    const cudnnDataType_t type = tw_dnn_type(t), wide = CUDNN_DATA_FLOAT;
    const int rows = s->rows, C = s->C, K = s->K;
    const tw_dnn_kind kept = s->train ? TW_DNN_MEMORY : TW_DNN_VIRTUAL;
    if (s->backward) {
        cudnnBackendDescriptor_t dy = tw_dnn_matrix(b, TW_LINEAR_DY, type, rows, K, false, TW_DNN_MEMORY);
        cudnnBackendDescriptor_t w = tw_dnn_matrix(b, TW_LINEAR_W, type, K, C, false, TW_DNN_MEMORY);
        cudnnBackendDescriptor_t product = tw_dnn_matrix(b, PRODUCT, wide, rows, C, false, TW_DNN_VIRTUAL);
        tw_dnn_product(b, dy, w, product);
        tw_dnn_slope(b, CUDNN_POINTWISE_GELU_BWD, product, tw_dnn_matrix(b, TW_LINEAR_BEFORE, type, rows, C, false, TW_DNN_MEMORY),
                     tw_dnn_matrix(b, TW_LINEAR_DX, type, rows, C, false, TW_DNN_MEMORY));
    } else {
        cudnnBackendDescriptor_t x = tw_dnn_matrix(b, TW_LINEAR_X, type, rows, C, false, TW_DNN_MEMORY);
        cudnnBackendDescriptor_t w = tw_dnn_matrix(b, TW_LINEAR_W, type, C, K, true, TW_DNN_MEMORY);
        cudnnBackendDescriptor_t product = tw_dnn_matrix(b, PRODUCT, wide, rows, K, false, TW_DNN_VIRTUAL);
        cudnnBackendDescriptor_t y = tw_dnn_matrix(b, s->train ? TW_LINEAR_Y : SUM, type, rows, K, false, kept);
        tw_dnn_product(b, x, w, product);
        tw_dnn_pointwise(b, CUDNN_POINTWISE_ADD, product, tw_dnn_matrix(b, TW_LINEAR_BIAS, type, 1, K, false, TW_DNN_MEMORY), y);
        tw_dnn_pointwise(b, CUDNN_POINTWISE_GELU_FWD, y, NULL, tw_dnn_matrix(b, TW_LINEAR_Z, type, rows, K, false, TW_DNN_MEMORY));
    }
    return tw_dnn_finish(b, at);
}

void tw_linear_key(char *key, size_t size, const tw_gelu_shape *s, tw_dtype t)
{
    snprintf(key, size, "linear gelu %s %s %d %d %d", s->backward ? "backward" : s->train ? "forward" : "forward only", tw_dtype_name(t), s->rows,
             s->C, s->K);
}
