#include "cuda/conv.h"

#include <stdio.h>

int tw_conv_channels(const tw_conv_shape *s, tw_dtype t)
{
    const int wide = (int)(16 / tw_dtype_size(t));
    return (s->C + wide - 1) / wide * wide;
}

cudnnBackendDescriptor_t tw_conv_graph(tw_dnn *b, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, bool wide, const tw_dnn_site *at)
{
    const cudnnDataType_t type = tw_dnn_type(t);
    const int P = tw_conv_channels(s, t);
    const bool widen = pass == TW_DNN_WEIGHTS && wide && t != TW_F32;
    cudnnBackendDescriptor_t x = tw_dnn_tensor(b, TW_CONV_X, type, s->N, P, s->H, s->W, false);
    cudnnBackendDescriptor_t y = tw_dnn_tensor(b, TW_CONV_Y, type, s->N, s->K, s->OH, s->OW, false);
    cudnnBackendDescriptor_t w = tw_dnn_tensor(b, widen ? TW_CONV_G : TW_CONV_W, widen ? CUDNN_DATA_FLOAT : type, s->K, P, s->size, s->size,
                                               widen);
    tw_dnn_conv(b, pass, s->pad, s->stride, x, w, y);
    if (widen)
        tw_dnn_identity(b, w, tw_dnn_tensor(b, TW_CONV_W, CUDNN_DATA_FLOAT, s->K, P, s->size, s->size, false));
    return tw_dnn_finish(b, at);
}

void tw_conv_key(char *key, size_t size, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, bool wide)
{
    static const char *const name[] = {"forward", "data", "weights"};
    snprintf(key, size, "conv %s %s%s %d %d %d %d %d %d %d %d %d %d", name[pass], tw_dtype_name(t), wide ? " f32" : "", s->N, s->H, s->W, s->C,
             s->OH, s->OW, s->K, s->size, s->stride, s->pad);
}
