#include "cuda/conv.h"

#include <stdio.h>

bool tw_conv_sums(tw_dnn_pass pass, tw_conv_kind kind)
{
    return pass == TW_DNN_FORWARD && kind >= TW_CONV_WITH_SUMS;
}

/* The epilogue y = relu(result + bias + shortcut), in f32 up to y. */
static void fold_tail(tw_dnn *b, const tw_conv_shape *s, cudnnDataType_t type, cudnnBackendDescriptor_t result)
{
    cudnnBackendDescriptor_t from = result, other[3] = {tw_dnn_tensor(b, TW_CONV_BIAS, CUDNN_DATA_FLOAT, 1, s->K, 1, 1, false), NULL, NULL};
    if (s->add)
        other[1] = tw_dnn_tensor(b, TW_CONV_SHORTCUT, type, s->N, s->K, s->OH, s->OW, false);
    const int steps = 1 + s->add + s->relu;
    for (int i = 0; i < steps; i++) {
        const bool last = i == steps - 1;
        cudnnBackendDescriptor_t to =
            tw_dnn_tensor(b, last ? TW_CONV_Y : TW_CONV_RESULT + 1 + i, last ? type : CUDNN_DATA_FLOAT, s->N, s->K, s->OH, s->OW, !last);
        tw_dnn_pointwise(b, other[i] != NULL ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_RELU_FWD, from, other[i], to);
        from = to;
    }
}

/* The prologue: returns the convolution's input relu(x scale + offset), virtual; or (applied) x, written from FROM and SHORTCUT first. */
static cudnnBackendDescriptor_t norm_head(tw_dnn *b, const tw_conv_form *f, cudnnDataType_t type, cudnnBackendDescriptor_t x, bool applied)
{
    const cudnnBackendDescriptor_t shortcut = applied ? tw_dnn_tensor(b, TW_CONV_SHORTCUT, type, f->N, f->P, f->H, f->W, false) : NULL;
    const cudnnBackendDescriptor_t scale = tw_dnn_tensor(b, TW_CONV_SCALE, type, 1, f->P, 1, 1, false);
    const cudnnBackendDescriptor_t offset = tw_dnn_tensor(b, TW_CONV_OFFSET, type, 1, f->P, 1, 1, false);
    const struct {
        cudnnPointwiseMode_t mode;
        cudnnBackendDescriptor_t other;
    } step[] = {{CUDNN_POINTWISE_MUL, scale}, {CUDNN_POINTWISE_ADD, offset}, {CUDNN_POINTWISE_ADD, shortcut}, {CUDNN_POINTWISE_RELU_FWD, NULL}};
    cudnnBackendDescriptor_t now = applied ? tw_dnn_tensor(b, TW_CONV_FROM, type, f->N, f->P, f->H, f->W, false) : x;
    for (int i = 0; i < 4; i++) {
        if (i == 2 && !applied)
            continue;
        cudnnBackendDescriptor_t next = i == 3 && applied ? x : tw_dnn_tensor(b, TW_CONV_MADE + i, type, f->N, f->P, f->H, f->W, true);
        tw_dnn_pointwise(b, step[i].mode, now, step[i].other, next);
        now = next;
    }
    return now;
}

cudnnBackendDescriptor_t tw_conv_graph(tw_dnn *b, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind, const tw_dnn_site *at)
{
    const cudnnDataType_t type = tw_dnn_type(t);
    const tw_conv_form f = tw_conv_form_of(s, t);
    cudnnBackendDescriptor_t x = tw_dnn_tensor(b, TW_CONV_X, type, f.N, f.P, f.H, f.W, false);
    cudnnBackendDescriptor_t y = s->folded ? tw_dnn_tensor(b, TW_CONV_RESULT, CUDNN_DATA_FLOAT, f.N, f.K, f.OH, f.OW, true)
                                           : tw_dnn_tensor(b, TW_CONV_Y, type, f.N, f.K, f.OH, f.OW, false);
    cudnnBackendDescriptor_t w = tw_dnn_tensor(b, TW_CONV_W, type, f.K, f.P, f.size, f.size, false);
    if (kind == TW_CONV_NORM_THROUGH || kind == TW_CONV_NORM_APPLIED)
        x = norm_head(b, &f, type, x, kind == TW_CONV_NORM_APPLIED);
    tw_dnn_conv(b, pass, f.before, f.after, f.stride, x, w, y);
    if (tw_conv_sums(pass, kind))
        tw_dnn_statistics(b, y, tw_dnn_tensor(b, TW_CONV_SUM, CUDNN_DATA_FLOAT, 1, f.K, 1, 1, false),
                          tw_dnn_tensor(b, TW_CONV_SQUARES, CUDNN_DATA_FLOAT, 1, f.K, 1, 1, false));
    if (s->folded)
        fold_tail(b, s, type, y);
    return tw_dnn_finish(b, at);
}

void tw_conv_key(char *key, size_t size, tw_dnn_pass pass, const tw_conv_shape *s, tw_dtype t, tw_conv_kind kind)
{
    static const char *const name[] = {"forward", "data", "weights"}, *const with[] = {"", " sums", " through", " applied"};
    const char *tail = !s->folded ? "" : s->add ? s->relu ? " folded add relu" : " folded add" : s->relu ? " folded relu" : " folded";
    const tw_conv_form f = tw_conv_form_of(s, t);
    snprintf(key, size, "conv %s %s%s%s %d %d %d %d %d %d %d %d %d %d %d", name[pass], tw_dtype_name(t), with[kind], tail, f.N, f.H,
             f.W, f.P, f.OH, f.OW, f.K, f.size, f.stride, f.before, f.after);
}
